"""kill -9 in the middle of a stream of changes: each one that was acknowledged is there afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sipframe.location import SQLiteStore, stored
from tests.location.calls import Calls
from tests.location.contract import NOW
from tests.tree import ROOT


@pytest.mark.parametrize("acknowledged", [1, 20, 300, 2_000])
@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_was_acknowledged_is_kept(tmp_path: Path, durability: str, acknowledged: int) -> None:
    path = str(tmp_path / "location.sqlite")
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.location.changing", path, durability],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert child.stdout is not None
    with child, child.stdout as out:
        lines = [out.readline() for _ in range(acknowledged)]
        child.send_signal(signal.SIGKILL)
        lines += out.readlines()
    # AORs are changed one after the other, each to the next number; an odd number has two bindings, a number that can
    # be divided by 4 none.
    last = dict(line.split() for line in lines if line.endswith("\n"))
    assert len(lines) >= acknowledged
    assert last

    calls = Calls()
    store = SQLiteStore(path, calls)
    store.start(NOW)
    for aor, text in last.items():
        number, bindings = int(text), store.lookup(aor).bindings
        numbers = {binding.cseq for binding in bindings}
        assert len(numbers) <= 1
        if bindings:
            assert numbers.pop() in (number, number + 1)
            assert len(bindings) == 1 + bindings[0].cseq % 2
        else:
            assert number % 4 in (0, 3)  # one more change may have arrived without being acknowledged
    assert stored(path) == {aor: snapshot.bindings for aor, snapshot in store.aors()}
    calls.result(store.close())
