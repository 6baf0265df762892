"""The file of those who are held up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from sipframe.policy.ban_file import BanFile

NOW = 1_700_000_000.0


def test_it_is_written_at_once_and_then_after_changes(tmp_path: Path) -> None:
    lines = [("192.0.2.7", NOW + 0.9), ("2001:db8::/64", NOW + 60)]
    clock, path = Clock(), tmp_path / "bans"
    written = BanFile(path, clock, 2.0, lambda: lines)
    assert path.read_text() == "192.0.2.7 2023-11-14T22:13:20Z\n2001:db8::/64 2023-11-14T22:14:20Z\n"
    lines.insert(0, ("198.51.100.1", NOW))
    written.changed()
    written.changed()
    assert len(clock.getDelayedCalls()) == 1
    assert "198.51" not in path.read_text()
    clock.advance(2)
    assert path.read_text().splitlines() == [
        "192.0.2.7 2023-11-14T22:13:20Z",
        "198.51.100.1 2023-11-14T22:13:20Z",
        "2001:db8::/64 2023-11-14T22:14:20Z",
    ]
    assert clock.getDelayedCalls() == []
    assert os.listdir(tmp_path) == ["bans"]


def test_it_is_replaced_and_never_changed(tmp_path: Path) -> None:
    lines = [("192.0.2.7", NOW)]
    clock, path = Clock(), tmp_path / "bans"
    written = BanFile(path, clock, 1.0, lambda: lines)
    with path.open() as reader:
        lines.clear()
        written.changed()
        clock.advance(1)
        assert reader.read() == "192.0.2.7 2023-11-14T22:13:20Z\n"
    assert path.read_text() == ""


def test_what_is_due_is_written_at_the_end(tmp_path: Path) -> None:
    lines: list[tuple[str, float]] = []
    clock, path = Clock(), tmp_path / "bans"
    written = BanFile(path, clock, 1.0, lambda: lines)
    lines.append(("192.0.2.7", NOW))
    written.changed()
    written.close()
    assert path.read_text() != ""
    assert clock.getDelayedCalls() == []
    written.close()


def test_a_place_where_nothing_can_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bans: cannot be written: No such file"):
        _ = BanFile(tmp_path / "missing" / "bans", Clock(), 1.0, list)


def test_what_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    clock, folder = Clock(), tmp_path / "folder"
    folder.mkdir()
    written = BanFile(folder / "bans", clock, 1.0, lambda: [("192.0.2.7", NOW)])
    (folder / "bans").unlink()
    folder.rmdir()
    written.changed()
    clock.advance(1)
    folder.mkdir()
    written.changed()
    clock.advance(1)
    assert os.listdir(folder) == ["bans"]
