"""Messages of RFC 3665 as the RFC prints them, made fit to be sent, and compared with what was received.

Rules: what is sent is the RFC's octets but for what nobody could send again: nonce and response, the Vias and Record-
Routes that an answer copies, Routes, and the port in a Via over UDP, to which the answer must come back. What a proxy
passes on is compared field by field; what proxies write themselves (branches, ``received``, the values of Record-Route)
is looked at for its form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sipframe.message import Request, Response, parse_message

__all__ = ["FOLDER", "Message", "assert_passed_on", "octets", "parsed", "reply", "rewritten"]

FOLDER = Path(__file__).parent / "rfc3665"
_OF_PROXIES = {"via", "record-route", "route", "max-forwards", "max-breadth", "proxy-authorization"}
"""Fields that a proxy changes, or takes for itself."""

Message = Request | Response


def octets(flow: str, name: str) -> bytes:
    """The message ``name`` (F1) of the flow ``flow`` (3.2)."""
    (path,) = FOLDER.glob(f"{flow}-*/{name}-*.sip")
    # Some start lines of the RFC have two spaces, which RFC 3261 7.2 has not.
    return path.read_bytes().replace(b"SIP/2.0  ", b"SIP/2.0 ", 1)


def parsed(flow: str, name: str) -> Message:
    """The same, read."""
    return parse_message(octets(flow, name))


def rewritten(data: bytes, without: Iterable[str], lines: Iterable[str] = ()) -> bytes:
    """A message without the fields ``without`` (lower case), and with ``lines`` on top."""
    head, _, body = data.partition(b"\r\n\r\n")
    start, *fields = re.sub(rb"\r\n[ \t]+", b" ", head).decode().split("\r\n")
    dropped = set(without)
    kept = [line for line in fields if line.partition(":")[0].strip().lower() not in dropped]
    return "\r\n".join([start, *lines, *kept, "", ""]).encode() + body


def reply(flow: str, name: str, request: Request) -> bytes:
    """A response of the RFC, as the answer to ``request``: with its Vias and its Record-Routes."""
    lines = [f"Via: {value}" for value in request.all("via")]
    data = octets(flow, name)
    printed = parse_message(data)
    if "record-route" in printed.fields:
        lines += [f"Record-Route: {value}" for value in request.all("record-route")]
    return rewritten(data, ["via", "record-route"], lines)


def route_set(message: Message) -> list[str]:
    """The values of Record-Route, topmost first."""
    return [value.strip() for line in message.all("record-route") for value in line.split(",")]


def assert_passed_on(
    heard: Message, printed: Message, proxies: Sequence[tuple[str, int]], odd: Iterable[str] = ()
) -> None:
    """Compare what came through the ``proxies`` with what the RFC prints; their addresses, topmost first.

    ``odd`` are fields that the RFC has changed on the way without a reason.
    """
    if isinstance(printed, Request):
        assert isinstance(heard, Request)
        assert (heard.method, heard.uri_text) == (printed.method, printed.uri_text)
        assert heard.max_forwards == printed.max_forwards
    else:
        assert isinstance(heard, Response)
        assert (heard.status, heard.reason) == (printed.status, printed.reason)
    assert heard.body == printed.body
    assert set(heard.fields) - _OF_PROXIES <= {*printed.fields, "content-length"}
    for field in set(printed.fields) - _OF_PROXIES - set(odd):
        assert heard.all(field) == printed.all(field), field
    assert "proxy-authorization" not in heard.fields

    assert len(heard.vias) == len(printed.vias)
    above, (first,), (printed_first,) = heard.vias[:-1], heard.vias[-1:], printed.vias[-1:]
    assert (first.host, first.transport, first.branch) == (
        printed_first.host,
        printed_first.transport,
        printed_first.branch,
    )
    if isinstance(heard, Request):
        assert first.received == "127.0.0.1"  # the name in it is none that leads here
        assert [(via.host, via.port) for via in above] == list(proxies)
    else:
        assert above == ()

    # Each proxy has written one value, or one for each side.
    recorded = [tuple(re.findall(r"@([\d.]+):(\d+)", value)[0]) for value in route_set(heard)]
    expected = [(host, str(port)) for host, port in proxies]
    if "record-route" in printed.fields:
        assert list(dict.fromkeys(recorded)) == expected
    else:
        assert recorded == []
