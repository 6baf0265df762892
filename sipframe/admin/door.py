"""The listening socket in the file system: who may connect, what a dead process left, and who is at the other end.

Rules: one process listens at a path. A lock on the directory keeps two that start at once apart. What is found at the
path is tried: a socket that nobody listens on is replaced; anything else stays and is an error. The socket is its
owner's alone before anyone can connect. It is removed while it still listens, so that nobody takes it for a dead one;
and only when it is still ours.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from sipframe.admin.path import reachable
from sipframe.wiring import StartError

__all__ = ["Door", "peer_is_ours"]

_BACKLOG: Final = 16
_MODE: Final = 0o600
_UCRED: Final = struct.Struct("3i")


class Door:
    """A socket that listens at ``path``. Raises StartError, one line, when it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with reachable(path) as (address, directory):
                _lock(path, directory)
                _clear(path, address, directory)
                self.socket = _listening(path.name, address, directory)
                self._inode = _inode(path)
        except OSError as error:
            raise StartError(f"admin socket {path}: {_line(error)}") from None

    def close(self) -> None:
        """Remove it from the file system, and stop listening."""
        try:
            if _inode(self.path) == self._inode:
                os.unlink(self.path)
        except OSError:
            pass  # whoever removed it, it is gone
        self.socket.close()


def peer_is_ours(accepted: socket.socket) -> bool:
    """Whether the process at the other end runs as our user or as root (SO_PEERCRED, unix(7)).

    Where the kernel does not tell, the permissions of the file have already decided.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _, uid, _ = _UCRED.unpack(accepted.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))
    return uid in (0, os.geteuid())


def _lock(path: Path, directory: int) -> None:
    # It goes with the descriptor, so it lasts as long as the start.
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"admin socket {path}: another server is just starting there") from None


def _clear(path: Path, address: str, directory: int) -> None:
    """Remove what a dead process left."""
    try:
        found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StartError(f"admin socket {path}: there is something that is no socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            os.unlink(path.name, dir_fd=directory)
            return
        except BlockingIOError:
            pass  # its queue is full: someone is slow, not dead
    raise StartError(f"admin socket {path}: another server is running there")


def _listening(name: str, address: str, directory: int) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(address)
        os.chmod(name, _MODE, dir_fd=directory)  # until it listens every connection is refused
        made.listen(_BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _inode(path: Path) -> tuple[int, int]:
    found = os.stat(path, follow_symlinks=False)
    return found.st_dev, found.st_ino


def _line(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{text[:1].lower()}{text[1:]}"
