"""Forwarded messages, spliced from received ones (RFC 3261 16.6, 16.7).

Rules: a received message is never changed. Its header lines go out as they came and in their order, octet for octet,
but for those that 16.6 and 16.7 name: Via, Max-Forwards, Max-Breadth, Route, Record-Route, Content-Length; and in
responses Via, and what aggregation adds or recursion takes out. What is put in front of others stands first of all.
The body is what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sipframe.message import Request, Response, stamped
from sipframe.message.names import canonical_name, usual_spelling
from sipframe.proxy.routing import Way

__all__ = ["Copy", "credentials_lines", "forwarded_request", "forwarded_response"]

_INITIALS: Final = frozenset("MmRr")
"""What the names of the fields that are written anew begin with: Max-Forwards, Max-Breadth, Route."""
_CONTACT_INITIALS: Final = frozenset("MmCc")


class Copy(NamedTuple):
    """What makes a copy different from the request it is a copy of."""

    way: Way
    via: str
    """Our Via value, with the branch (RFC 3261 16.6 step 8)."""
    max_forwards: int
    breadth: int
    """Max-Breadth of this branch (RFC 5393 5.3.3)."""
    record_routes: Sequence[str] = ()
    """Record-Route values to be put on top, topmost first."""
    stream: bool = False
    """Whether it goes out over a stream: then Content-Length must be there (RFC 3261 16.6 step 9)."""
    consumed: frozenset[int] = frozenset()
    """The places of the header lines with credentials that were for us: they go no further (RFC 3261 20.28)."""
    path: str = ""
    """A Path value to be put on top (RFC 3327 5.2)."""


def forwarded_request(request: Request, source: tuple[str, int], copy: Copy) -> bytes:
    """The request as it is forwarded. ``source`` is where it came from (address without brackets, port), for its Via
    (RFC 3261 18.2.1, RFC 3581 4). Raises MessageError when its Via cannot be read."""
    way = copy.way
    fields = request.fields
    lines = [f"{request.method} {way.uri_text} SIP/2.0", f"Via: {copy.via}"]  # 16.6 steps 2 and 8
    for value in copy.record_routes:
        lines.append(f"Record-Route: {value}")  # 16.6 step 4
    if copy.path:
        lines.append(f"Path: {copy.path}")
    new_routes = way.changed
    if new_routes and "route" not in fields:
        lines.extend([f"Route: {value}" for value in way.routes])  # 16.6 step 6
    via = request.via
    stamp = stamped(via, source[0], source[1])
    stamping = stamp != via.text
    kept = request.lines
    if copy.consumed:
        kept = [line for place, line in enumerate(kept) if place not in copy.consumed]
    for line in kept:
        initial = line[0]
        if initial in _INITIALS:
            name = _name(line)
            if name == "max-forwards":
                line = f"Max-Forwards: {copy.max_forwards}"  # 16.6 step 3
            elif name == "route" and way.changed:
                if new_routes:
                    new_routes = False
                    lines.extend([f"Route: {value}" for value in way.routes])
                continue
            elif name == "max-breadth":
                line = f"Max-Breadth: {copy.breadth}"  # RFC 5393 5.3.3
        elif stamping and (initial == "V" or initial == "v") and _name(line) == "via":
            stamping = False
            # What follows the first value on its line stays behind it.
            line = f"Via: {stamp}{fields['via'][0][len(via.text) :]}"
        lines.append(line)
    if "max-forwards" not in fields:
        lines.append(f"Max-Forwards: {copy.max_forwards}")
    if "max-breadth" not in fields:
        lines.append(f"Max-Breadth: {copy.breadth}")
    if copy.stream and "content-length" not in fields:
        lines.append(f"Content-Length: {len(request.body)}")  # 16.6 step 9
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + request.body


def forwarded_response(
    response: Response,
    challenges: Sequence[str] = (),
    contacts: Sequence[str] | None = None,
    *,
    stream: bool = False,
) -> bytes | None:
    """The response as it goes upstream: without its topmost Via (RFC 3261 16.7 step 3), with the header lines
    ``challenges`` (step 7), and, unless None, with ``contacts`` for its Contact values (step 4).

    None when no Via is left: it was for us alone and must not be forwarded. Raises MessageError when its Via cannot be
    read.
    """
    if len(response.vias) < 2:
        return None
    ours = response.via.text
    values = response.fields["via"]
    lines = [response.start_line]
    taking = True
    for line in response.lines:
        initial = line[0]
        if taking and (initial == "V" or initial == "v") and _name(line) == "via":
            taking = False
            if len(values[0]) == len(ours):
                continue
            # RFC 3261 7.3.1: other values stand on the same line, behind a comma.
            line = "Via: " + values[0][len(ours) :].lstrip(", \t")
        elif contacts is not None and initial in _CONTACT_INITIALS and _name(line) == "contact":
            lines.extend([f"Contact: {value}" for value in contacts])
            contacts = ()
            continue
        lines.append(line)
    lines.extend(challenges)
    if stream and "content-length" not in response.fields:
        lines.append(f"Content-Length: {len(response.body)}")  # RFC 3261 18.3
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + response.body


def credentials_lines(request: Request) -> list[tuple[int, str, str]]:
    """The header lines of ``request`` that have credentials: place, canonical name and value."""
    found: list[tuple[int, str, str]] = []
    for wanted in ("authorization", "proxy-authorization"):
        if wanted in request.fields:
            places = [place for place, line in enumerate(request.lines) if _name(line) == wanted]
            values = request.all(wanted)
            found.extend([(place, wanted, value) for place, value in zip(places, values, strict=True)])
    return found


def _name(line: str) -> str:
    """The canonical name of a header line of a message that was read without an error."""
    name = line.partition(":")[0]
    return usual_spelling(name) or canonical_name(name)
