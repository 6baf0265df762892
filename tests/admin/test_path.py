from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from sipframe.admin.path import LONGEST_ADDRESS, reachable


def deep(path: Path) -> Path:
    """A directory whose name alone is longer than a socket's may be."""
    path = path / ("d" * 100) / ("e" * 100)
    path.mkdir(parents=True)
    return path


def test_a_short_path_is_its_own_address() -> None:
    with reachable(Path("/admin.sock")) as (address, directory):
        assert address == "/admin.sock"
        assert os.path.samestat(os.fstat(directory), os.stat("/"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc")
def test_a_long_path_is_reached_through_its_directory(tmp_path: Path) -> None:
    path = deep(tmp_path) / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as connecting:
        with reachable(path) as (address, _):
            assert len(address) <= LONGEST_ADDRESS
            listening.bind(address)
        listening.listen()
        assert path.is_socket()
        with reachable(path) as (address, _):
            connecting.connect(address)


def test_a_name_that_is_too_long_by_itself(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="choose a shorter one") as caught, reachable(tmp_path / ("s" * 150)):
        pass
    assert caught.value.errno == errno.ENAMETOOLONG


def test_there_is_no_such_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), reachable(tmp_path / "gone" / "admin.sock"):
        pass
