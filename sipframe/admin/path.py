"""Names of UNIX sockets, however long their directory's is.

Rules: the kernel takes little more than a hundred octets as a socket's address (``sun_path``; unix(7)), a file system
takes thousands. What is too long goes by way of the open directory, ``/proc/self/fd``, where there is one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["LONGEST_ADDRESS", "reachable"]

LONGEST_ADDRESS: Final = 103
"""Octets that every system takes: Linux has room for 107, BSD for 103."""


@contextmanager
def reachable(path: Path) -> Iterator[tuple[str, int]]:
    """What to bind or connect to for ``path``, and a descriptor of its directory; both are valid in the context.

    Raises OSError, with ENAMETOOLONG when there is no way to name it.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _address(path, directory), directory
    finally:
        os.close(directory)


def _address(path: Path, directory: int) -> str:
    through = f"/proc/self/fd/{directory}"
    for address in (str(path), f"{through}/{path.name}"):
        if len(os.fsencode(address)) <= LONGEST_ADDRESS and (address == str(path) or os.path.isdir(through)):
            return address
    raise OSError(
        errno.ENAMETOOLONG,
        f"too long for a socket, whose name may have {LONGEST_ADDRESS} octets; choose a shorter one",
        str(path),
    )
