"""Oracles of what an operator writes: the configuration, accounts in files, options of the command line.

Rules: an oracle takes any octets. Mistakes are the library's own error with one line for a person; no line is broken.
"""

from __future__ import annotations

import tempfile
import tomllib
from functools import cache
from pathlib import Path

from sipframe.auth.digest import ALGORITHMS
from sipframe.auth.sources.htdigest import read_htdigest
from sipframe.auth.sources.toml import read_users
from sipframe.config_file import ConfigurationError, read_configuration
from sipframe.plugging import Choice
from sipframe.transport import ListenAddress

__all__ = ["configuration", "htdigest", "options", "users"]

_PLUG_INS = ("credentials", "authenticators", "location", "policies")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="sipframe-fuzz-")


def configuration(data: bytes) -> None:
    """A configuration file is settings, or ConfigurationError with one line for each mistake."""
    if _imports_something(data):
        return  # a dotted name of a plug-in is imported, whatever it is
    file = Path(_folder().name, "sipframe.toml")
    _ = file.write_bytes(data)
    try:
        _ = read_configuration(file, Path("state"))
    except ConfigurationError as error:
        assert error.mistakes
        assert not [line for line in error.mistakes if not line or "\n" in line]


def _imports_something(data: bytes) -> bool:
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return False
    chosen: list[object] = []
    for key in _PLUG_INS:
        value = table.get(key)
        chosen += value if isinstance(value, list) else [value]
    names = [one.get("use") if isinstance(one, dict) else one for one in chosen]
    return any(isinstance(name, str) and "." in name.partition(":")[0] for name in names)


def htdigest(data: bytes) -> None:
    """A file of htdigest gives HA1s in lower case, or a ValueError that names a line and repeats nothing of it."""
    try:
        found = read_htdigest(data)
    except ValueError as error:
        assert str(error).startswith("line ")
        return
    for (username, _, algorithm), ha1 in found.items():
        assert username
        assert len(ha1) == ALGORITHMS[algorithm].size
        assert ha1 == ha1.lower()


def users(data: bytes) -> None:
    """Users in TOML, or a ValueError of one line."""
    try:
        found = read_users(data)
    except ValueError as error:
        assert "\n" not in str(error)
        return
    for algorithm in ("MD5", "SHA-256", "SHA-512-256"):
        for name in ("alice", "bob@example.com", ""):
            _ = found.secret(name, "example.com", algorithm)
        _ = found.username("0" * 32, "example.com", algorithm)


def options(data: bytes) -> None:
    """NAME:KEY=VALUE and TRANSPORT:PORT of the command line, or a ValueError of one line."""
    text = data.decode("utf-8", "surrogateescape")
    for read in (Choice.parse, ListenAddress.parse):
        try:
            _ = read(text)
        except ValueError as error:
            assert str(error)
