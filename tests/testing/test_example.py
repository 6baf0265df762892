"""The example of a policy with its tests: they pass, and one that fails shows why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tree import ROOT

EXAMPLE = ROOT / "examples" / "test_short_numbers.py"


def run(path: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(directory),
    ]
    return subprocess.run(
        [*command, str(path)],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_passes(tmp_path: Path) -> None:
    done = run(EXAMPLE, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_without_the_policy_it_does_not(tmp_path: Path) -> None:
    changed = tmp_path / EXAMPLE.name
    text = EXAMPLE.read_text(encoding="utf-8")
    changed.write_text(text.replace("policies=[ShortNumbers()], ", ""), encoding="utf-8")
    done = run(changed, tmp_path)
    assert "3 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "REGISTER sip:example.com" in done.stdout
