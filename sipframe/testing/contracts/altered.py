"""Requests that are altered on the way to a plug-in, and how they are told.

Rules: a request never changes; each function makes another one, and reads it as the server does
(:func:`sipframe.testing.strategies.sound`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sipframe.interfaces import IFlow
from sipframe.message import Request, parse_message
from sipframe.testing.contracts.story import cut
from sipframe.testing.strategies import sound

__all__ = ["CREDENTIALS", "changed", "name_of", "read", "shown", "with_field", "without"]

CREDENTIALS: Final = ("authorization", "proxy-authorization")
_NOT_TOLD: Final = ("via", "max-forwards", "call-id", "cseq", "content-length")


def shown(request: Request, flow: IFlow | None = None) -> str:
    """A request in one line, without the fields that every request has."""
    lines = [line for line in request.lines if name_of(line) not in _NOT_TOLD]
    if not any(name_of(line) in CREDENTIALS for line in lines):
        lines.append("no credentials")
    told = [cut(line)[1:-1] for line in (f"{request.method} {request.uri_text}", *lines)]
    return ", ".join(told if flow is None else [*told, repr(flow)])


def changed(request: Request, *, method: str = "", uri: str = "") -> Request | None:
    """``request`` with another method (in CSeq as well) or Request-URI; None for what never gets here."""
    method = method or request.method
    lines = [
        f"CSeq: {request.cseq.number} {method}" if name_of(line) == "cseq" else line for line in request.lines
    ]
    return read(f"{method} {uri or request.uri_text} SIP/2.0", lines, request.body)


def without(request: Request, names: Iterable[str]) -> Request:
    """``request`` without some fields, named in lower case."""
    lines = [line for line in request.lines if name_of(line) not in names]
    octets = "\r\n".join([request.start_line, *lines]).encode("utf-8", "surrogateescape")
    found = parse_message(octets + b"\r\n\r\n" + request.body)
    if not isinstance(found, Request):
        raise TypeError("a request without a field is a request")
    return found


def with_field(request: Request | None, field: tuple[str, str]) -> Request | None:
    """``request`` with one field more; None for what never gets here."""
    if request is None:
        return None
    return read(request.start_line, [f"{field[0]}: {field[1]}", *request.lines], request.body)


def name_of(line: str) -> str:
    """The name of the field that a line begins with, in lower case and in full."""
    name = line.partition(":")[0].strip(" \t").lower()
    return {"t": "to", "f": "from", "m": "contact"}.get(name, name)


def read(start: str, lines: Iterable[str], body: bytes) -> Request | None:
    """A request of these lines; None for what never gets to a plug-in."""
    return sound("\r\n".join([start, *lines]).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body)
