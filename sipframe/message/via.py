"""Via: the way back of a response (RFC 3261 20.42, 18.2.1; RFC 3581).

Rules: a Via keeps its text; only the one on top of a request that we received is ever rewritten, by :func:`stamped`,
and then for the response alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from sipframe.message.errors import MessageError
from sipframe.message.grammar import QUOTED, TOKEN, Params, param, parse_params, split_list

__all__ = ["COOKIE", "Via", "parse_vias", "salvaged", "stamped"]

COOKIE = "z9hG4bK"
"""What the branch of an RFC 3261 element begins with (RFC 3261 8.1.1.7)."""

_SENT_BY = rf"""
    ({TOKEN}++)[ \t]*+/[ \t]*+({TOKEN}++)[ \t]*+/[ \t]*+({TOKEN}++)[ \t]++
    ([A-Za-z0-9](?>(?:[A-Za-z0-9.\-_]*[A-Za-z0-9.])?)|\[[0-9A-Fa-f:.]++\])
    (?:[ \t]*+:[ \t]*+([0-9]{{1,5}}))?
"""
_VIA = re.compile(
    rf"""{_SENT_BY} [ \t]*+((?>(?:;(?>(?:[^",]++|{QUOTED})*))?))""",
    re.VERBOSE | re.ASCII,
)
_SENT_BY_ALONE = re.compile(rf"{_SENT_BY} [ \t]*+", re.VERBOSE | re.ASCII)
_USUAL_PARAMS = re.compile(rf"(rport;)?branch=({TOKEN}++)(;rport)?")
_REMEMBERED_LENGTH: Final = 128
_BEGINNING = re.compile(rf"{_SENT_BY} (?![^;, \t])", re.VERBOSE | re.ASCII)


_RPORT: Final = ("rport", None)

_BeforeParams = tuple[str, str, str, int | None]
"""Protocol, transport, host, port."""

_new = tuple.__new__  # what a NamedTuple does, without the detour


class Via(NamedTuple):
    """One Via value. ``transport`` is in upper case, ``host`` as written (IPv6 with brackets)."""

    protocol: str
    transport: str
    host: str
    port: int | None
    params: Params
    text: str

    @property
    def branch(self) -> str | None:
        """The transaction's id, when it was made by RFC 3261 rules or not at all."""
        return param(self.params, "branch")

    @property
    def received(self) -> str | None:
        """The address that the element after this one saw (RFC 3261 18.2.1)."""
        return param(self.params, "received")

    @property
    def rport(self) -> str | None:
        """``""`` when the client asks for the port (RFC 3581 3), the port when it is filled in, else None."""
        return param(self.params, "rport")

    @property
    def maddr(self) -> str | None:
        """Where responses shall go instead (RFC 3261 18.2.2)."""
        return param(self.params, "maddr")

    @property
    def sent_by(self) -> tuple[str, int | None]:
        """Host in lower case and port: what transactions are told apart by (RFC 3261 17.2.3)."""
        return self.host.lower(), self.port


def parse_vias(values: list[str]) -> tuple[Via, ...]:
    """Parse all Via values of a message, topmost first. Raises MessageError."""
    if len(values) == 1 and "," not in values[0]:
        return (_parse_via(values[0]),)
    return tuple([_parse_via(text) for value in values for text in split_list(value)])


def _parse_via(text: str) -> Via:
    sent_by, semicolon, after = text.partition(";")
    if semicolon and 0 < len(sent_by) <= _REMEMBERED_LENGTH and '"' not in text:
        protocol, transport, host, port = _remembered(sent_by)
        return _new(Via, (protocol, transport, host, port, _params(after), text))
    match = _VIA.fullmatch(text)
    if match is None:
        raise MessageError("Malformed Via")
    protocol, transport, host, port = _before_params(match.groups())
    return _new(Via, (protocol, transport, host, port, parse_params(match.group(6)), text))


def _params(after: str) -> Params:
    """The parameters behind the first semicolon; of those that a phone nearly always has the straight way."""
    usual = _USUAL_PARAMS.fullmatch(after)
    if usual is not None:
        rport_before, branch, rport_after = usual.groups()
        if rport_after is None:
            return (("branch", branch),) if rport_before is None else (_RPORT, ("branch", branch))
        if rport_before is None:
            return (("branch", branch), _RPORT)
    return parse_params(f";{after}")


def _before_params(groups: tuple[str | None, ...]) -> _BeforeParams:
    name, version, transport, host, port, *_ = groups
    assert transport is not None
    assert host is not None
    number: int | None = None
    if port is not None:
        number = int(port)
        if not 0 < number < 65536:
            raise MessageError("Port out of range in Via")
    return f"{name}/{version}", transport.upper(), host, number


@lru_cache(maxsize=4096)
def _remembered(text: str) -> _BeforeParams:
    """What stands before the parameters: the same in all requests of one phone."""
    match = _SENT_BY_ALONE.fullmatch(text)
    if match is None:
        raise MessageError("Malformed Via")
    return _before_params(match.groups())


def salvaged(text: str) -> Via:
    """The beginning of a malformed Via, as far as its sent-by: enough to answer. Raises MessageError."""
    match = _BEGINNING.match(text)
    if match is None:
        raise MessageError("Malformed Via")
    name, version, transport, host, port = match.groups()
    number = None if port is None or not 0 < int(port) < 65536 else int(port)
    return Via(f"{name}/{version}", transport.upper(), host, number, (), text)


def stamped(via: Via, host: str, port: int) -> str:
    """The text of ``via`` with where its request really came from: ``host`` (no brackets) and ``port``.

    RFC 3261 18.2.1: received is added when the sent-by host is a name or another address. RFC 3581 4: with rport both
    are. A received or a filled rport that the client wrote itself says nothing and is replaced.
    """
    _, _, claimed, _, params, text = via
    if len(params) == 2 and (params[1] is _RPORT or params[0] is _RPORT):
        return f"{text.replace(';rport', f';rport={port}', 1)};received={host}"  # of a phone nearly always
    if claimed[0] == "[":
        claimed = claimed[1:-1]
    received = f";received={host}"
    wants_port = rewritten = False
    kept = ""
    for name, value in params:
        if name == "rport":
            wants_port = True
            kept += f";rport={port}"
        elif name == "received":
            rewritten = True
        else:
            kept += f";{name}" if value is None else f";{name}={value}"
    if not wants_port:
        if not rewritten:
            return via.text if claimed == host else via.text + received
        if claimed == host:
            received = ""
    port_text = "" if via.port is None else f":{via.port}"
    return f"{via.protocol}/{via.transport} {via.host}{port_text}{kept}{received}"
