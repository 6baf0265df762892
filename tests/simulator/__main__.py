"""Run scenarios from a command line: ``python -m tests.simulator --hours 1000 --seed 1``.

Without ``--hours`` it is the one scenario of ``--seed``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from itertools import count

from tests.simulator.scenario import Scenario
from tests.simulator.violation import Violation
from tests.simulator.world import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument(
        "--hours", type=float, help="go on with the next seeds until so many hours were simulated"
    )
    parser.add_argument("--plan", action="store_true", help="say what the scenario is, and run nothing")
    parser.add_argument(
        "--keep-going", action="store_true", help="one line for each failure, and the next seed"
    )
    options = parser.parse_args()
    if options.plan:
        say(Scenario.of(options.seed).text())
        return 0
    return simulate(options.seed, options.hours, keep_going=options.keep_going)


def simulate(first: int, wanted: float | None, *, keep_going: bool) -> int:
    """Run the scenario of ``first``, or one after the other until ``wanted`` hours have passed; the exit status."""
    began, hours, passages, failures = time.perf_counter(), 0.0, 0, 0
    counted: Counter[str] = Counter()
    for seed in count(first):
        try:
            outcome = run(seed)
        except Violation as violation:
            if not keep_going:
                say("\n".join(getattr(violation, "__notes__", [str(violation)])))
                return 1
            failures += 1
            say(str(violation).partition("\n")[0])
        else:
            hours += outcome.hours
            passages += outcome.passages
            counted += outcome.counted
            if wanted is None:
                say(f"seed {seed}: {outcome.hours:.1f} hours, {outcome.passages} messages, {outcome.digest}")
        if wanted is None or hours >= wanted:
            break
    seconds = time.perf_counter() - began
    say(
        f"{hours:.0f} hours, {passages} messages, {failures} failures, {seconds:.1f} s: {hours / seconds:.0f} hours/s"
    )
    if wanted is not None:
        say(", ".join(f"{what} {number}" for what, number in sorted(counted.items())))
    return 1 if failures else 0


def say(text: str) -> None:
    """One thing for the person who reads."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
