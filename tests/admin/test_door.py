"""The socket in the file system, without anyone who answers at it."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sipframe.admin.door import Door, peer_is_ours
from sipframe.admin.path import reachable
from sipframe.wiring import StartError
from tests.admin.test_path import deep


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    # Short, whatever this test is called.
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "admin.sock"


def abandoned(path: Path) -> None:
    """Leave a socket at ``path`` as a process does that is killed."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()


def test_it_is_of_its_owner_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(Door(path)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_it_goes_when_it_is_closed(path: Path) -> None:
    Door(path).close()
    assert list(path.parent.iterdir()) == []


def test_what_a_dead_process_left_is_replaced(path: Path) -> None:
    abandoned(path)
    with closing(Door(path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_living_one_stays(path: Path) -> None:
    with closing(Door(path)):
        with pytest.raises(StartError, match="another server is running there"):
            Door(path)
        assert path.is_socket()


def test_a_living_one_stays_though_its_queue_is_full(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as slow, socket.socket(socket.AF_UNIX) as one:
        slow.bind(str(path))
        slow.listen(0)
        one.connect(str(path))
        with pytest.raises(StartError, match="another server is running there"):
            Door(path)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_socket_stays(path: Path, make: object) -> None:
    assert callable(make)
    make(path)
    with pytest.raises(StartError, match="something that is no socket"):
        Door(path)
    assert path.is_symlink() or path.exists()


def test_a_socket_of_another_kind_stays(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(StartError, match=r"admin socket .*: protocol wrong type"):
            Door(path)
        assert path.is_socket()


def test_of_two_that_start_at_once_one_may(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with pytest.raises(StartError, match="just starting there"):
            Door(path)
    finally:
        os.close(directory)
    Door(path).close()


def test_another_one_in_its_place_is_left_alone(path: Path) -> None:
    first = Door(path)
    path.rename(path.with_name("moved"))
    second = Door(path)
    first.close()
    assert path.is_socket()
    second.close()
    assert not path.exists()
    second.close()


def test_a_directory_that_is_gone_by_then(tmp_path: Path) -> None:
    directory = Path(tempfile.mkdtemp(dir=tmp_path))
    door = Door(directory / "s")
    (directory / "s").unlink()
    directory.rmdir()
    door.close()


def test_a_path_that_is_longer_than_a_socket_name_may_be(tmp_path: Path) -> None:
    path = deep(tmp_path) / "admin.sock"
    abandoned_there = socket.socket(socket.AF_UNIX)
    with reachable(path) as (address, _):
        abandoned_there.bind(address)
    abandoned_there.close()
    with closing(Door(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(StartError, match="another server is running there"):
            Door(path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "why"), [("gone/admin.sock", "no such file or directory"), ("s" * 150, "choose a shorter one")]
)
def test_where_there_can_be_none(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(StartError, match=rf"^admin socket /[^\n]*: [^\n]*{why}$"):
        Door(tmp_path / name)


def test_our_own_processes_are_ours() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_is_ours(ours)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_processes_of_others_are_not(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(str(path))
        listening.listen()
        path.parent.chmod(0o755)
        path.chmod(0o666)
        os.seteuid(65534)
        try:
            client.connect(str(path))
        finally:
            os.seteuid(0)
        accepted, _ = listening.accept()
        with accepted:
            assert not peer_is_ours(accepted)
