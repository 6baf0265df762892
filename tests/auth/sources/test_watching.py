"""A watched file: taken into use whole or not at all, whatever happens to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from sipframe.auth.sources.watching import WatchedFile
from tests.auth.sources.around import logged


def read(octets: bytes) -> str:
    text = octets.decode()
    if text.startswith("bad"):
        raise ValueError("line 1 is bad")
    return text


class Watched:
    def __init__(self, path: Path, content: str = "one") -> None:
        self.path = path / "file"
        self.path.write_text(content)
        self.clock = Clock()
        self.file = WatchedFile(self.path, read, self.clock, 2.0, largest=100)

    def look(self) -> str:
        self.clock.advance(2.0)
        return self.file.content


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_change_is_seen_at_the_next_look(watched: Watched) -> None:
    watched.path.write_text("another")
    watched.clock.advance(1.9)
    assert watched.file.content == "one"
    watched.clock.advance(0.2)
    assert watched.file.content == "another"


def test_a_file_that_takes_its_place(watched: Watched) -> None:
    other = watched.path.with_suffix(".new")
    other.write_text("two")
    before = watched.path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(watched.path)
    assert watched.look() == "two"


def test_a_change_within_the_grain_of_time(watched: Watched) -> None:
    # Same size, time and inode as when it was read: seen, because the next look reads it once more.
    state = watched.path.stat()
    watched.path.write_text("two")
    os.utime(watched.path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert watched.look() == "two"
    watched.path.write_text("six")
    assert watched.look() == "six"


def test_what_is_malformed_leaves_the_old_content_and_is_told_once(watched: Watched) -> None:
    with logged() as text:
        watched.path.write_text("bad thing")
        assert [watched.look() for _ in range(5)] == ["one"] * 5
        assert text().count("line 1 is bad") == 1
        watched.path.write_text("one")
        assert watched.look() == "one"
        watched.path.write_text("bad again")
        assert [watched.look() for _ in range(5)] == ["one"] * 5
        assert text().count("line 1 is bad") == 2
        watched.path.write_text("three")
        assert watched.look() == "three"


def test_a_file_that_goes_and_comes_back(watched: Watched) -> None:
    with logged() as text:
        watched.path.unlink()
        assert [watched.look() for _ in range(5)] == ["one"] * 5
        assert text().count("No such file") == 1
        watched.path.mkdir()
        assert [watched.look() for _ in range(5)] == ["one"] * 5
        assert text().count("it is no file") == 1
        watched.path.rmdir()
        watched.path.write_text("two")
        assert watched.look() == "two"


def test_a_file_that_is_too_large(watched: Watched) -> None:
    with logged() as text:
        watched.path.write_text("x" * 101)
        assert watched.look() == "one"
        assert "more than 100 octets" in text()
    watched.path.write_text("x" * 100)
    assert len(watched.look()) == 100


def test_a_look_by_hand_says_what_is_wrong(watched: Watched) -> None:
    watched.path.write_text("bad")
    with pytest.raises(ValueError, match=r"file: line 1 is bad"):
        watched.file.look()
    assert watched.file.content == "one"


def test_nothing_is_left_on_the_clock(watched: Watched) -> None:
    watched.look()
    watched.file.close()
    watched.file.close()
    assert watched.clock.getDelayedCalls() == []
    never = WatchedFile(watched.path, read, watched.clock, 0)
    assert watched.clock.getDelayedCalls() == []
    never.close()


def test_what_is_wrong_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        WatchedFile(tmp_path / "nothing", read, Clock(), 1)
    with pytest.raises(ValueError, match="it is no file"):
        WatchedFile(tmp_path, read, Clock(), 1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="it is no file"):
        WatchedFile(tmp_path / "pipe", read, Clock(), 1)
    with pytest.raises(ValueError, match="line 1 is bad"):
        Watched(tmp_path, "bad")
    for every in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds"):
            WatchedFile(tmp_path / "file", read, Clock(), every)
