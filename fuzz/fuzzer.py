"""One target under atheris: ``python -m fuzz.fuzzer TARGET``, and options of libFuzzer behind it.

Rules: what is imported while it is instrumented is what coverage is counted in: sipframe and the parsers of the
standard library that it stands on. What is found is written beside the corpus and shown.
"""

from __future__ import annotations

import os
import resource
import sys
import warnings
from pathlib import Path

import atheris

_INSTRUMENTED = ["sipframe", "tomllib", "json", "joserfc"]


def main(arguments: list[str]) -> None:
    """Fuzz until the time is over or something is found."""
    name, *options = arguments
    os.environ["PYTHONHASHSEED"] = "0"
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from fuzz.targets import TARGETS

    warnings.simplefilter("error")
    target = TARGETS[name]
    folder = Path(os.environ.get("FUZZ_CORPUS", ".state/fuzz")) / name

    from fuzz import corpus

    _ = corpus.write(name, folder / "seeds")
    found = folder / "corpus"
    found.mkdir(exist_ok=True)
    for data in corpus.SEEDS[name]():
        target.check(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{name}: {before / 1024:.0f} MiB at the start", file=sys.stderr)
    atheris.Setup(
        [
            sys.argv[0],
            str(found),
            str(folder / "seeds"),
            f"-dict={Path(__file__).with_name('words')}",
            f"-max_len={target.longest}",
            f"-artifact_prefix={folder}/",
            "-timeout=60",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            *options,
        ],
        target.check,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
