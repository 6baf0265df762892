"""Writing messages: responses to a request we received, and requests of our own (RFC 3261 8.1.1, 8.2.6).

Rules: what is written comes from values that were parsed or made here, never straight from a peer: no text with CR or
LF in it reaches a header field. A response repeats Via, From, To, Call-ID and CSeq as they came (8.2.6.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from sipframe.message.errors import MessageError
from sipframe.message.message import Request
from sipframe.message.via import Via, stamped

__all__ = ["REASONS", "request_bytes", "response_bytes"]

REASONS: Final = MappingProxyType(
    {
        100: "Trying",
        180: "Ringing",
        181: "Call Is Being Forwarded",
        182: "Queued",
        183: "Session Progress",
        200: "OK",
        202: "Accepted",
        300: "Multiple Choices",
        301: "Moved Permanently",
        302: "Moved Temporarily",
        305: "Use Proxy",
        380: "Alternative Service",
        400: "Bad Request",
        401: "Unauthorized",
        402: "Payment Required",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        406: "Not Acceptable",
        407: "Proxy Authentication Required",
        408: "Request Timeout",
        410: "Gone",
        413: "Request Entity Too Large",
        414: "Request-URI Too Long",
        415: "Unsupported Media Type",
        416: "Unsupported URI Scheme",
        420: "Bad Extension",
        421: "Extension Required",
        423: "Interval Too Brief",
        430: "Flow Failed",
        439: "First Hop Lacks Outbound Support",
        440: "Max-Breadth Exceeded",
        480: "Temporarily Unavailable",
        481: "Call/Transaction Does Not Exist",
        482: "Loop Detected",
        483: "Too Many Hops",
        484: "Address Incomplete",
        485: "Ambiguous",
        486: "Busy Here",
        487: "Request Terminated",
        488: "Not Acceptable Here",
        489: "Bad Event",
        491: "Request Pending",
        493: "Undecipherable",
        500: "Server Internal Error",
        501: "Not Implemented",
        502: "Bad Gateway",
        503: "Service Unavailable",
        504: "Server Time-out",
        505: "Version Not Supported",
        513: "Message Too Large",
        600: "Busy Everywhere",
        603: "Decline",
        604: "Does Not Exist Anywhere",
        606: "Not Acceptable",
    }
)
"""Reason phrases of RFC 3261 21 and the RFCs that are served here."""


def response_bytes(
    request: Request,
    status: int,
    reason: str,
    to_tag: str | None,
    fields: str,
    source: tuple[str, int],
    via: Via | None = None,
) -> bytes:
    """A whole response without a body.

    ``to_tag`` is added to To unless the request's To has a tag or it is None (RFC 3261 8.2.6.2). ``fields`` are ready
    lines, each with its CRLF. ``source`` is where the request came from (address without brackets, port), for the top
    Via (18.2.1); ``via`` saves parsing it again. An answer to a malformed request repeats what there is: fields that
    are missing are left out, a Via that cannot be read is repeated as it came. Raises MessageError when there is no
    Via to go by at all (:attr:`Request.reply_via`).
    """
    values = request.fields
    try:
        vias = request.vias
    except MessageError:
        vias = ()
        _ = request.reply_via  # raises when there is nothing to go by
    if not vias:
        head = f"SIP/2.0 {status} {reason}\r\n" + "".join([f"Via: {value}\r\n" for value in values["via"]])
    elif len(vias) == 1:
        first = stamped(via or vias[0], source[0], source[1])
        head = f"SIP/2.0 {status} {reason}\r\nVia: {first}\r\n"
    else:
        first = stamped(via or vias[0], source[0], source[1])
        rest = "".join([f"Via: {other.text}\r\n" for other in vias[1:]])
        head = f"SIP/2.0 {status} {reason}\r\nVia: {first}\r\n{rest}"
    try:
        # The straight way: what every valid request has.
        to = values["to"][0]
        if to_tag is not None and request.to.tag is None:
            to = f"{to};tag={to_tag}"
        text = (
            f"{head}From: {values['from'][0]}\r\nTo: {to}\r\nCall-ID: {values['call-id'][0]}\r\n"
            f"CSeq: {values['cseq'][0]}\r\n{fields}Content-Length: 0\r\n\r\n"
        )
    except (KeyError, ValueError):
        text = f"{head}{_what_there_is(request, to_tag)}{fields}Content-Length: 0\r\n\r\n"
    return text.encode("utf-8", "surrogateescape")


def _what_there_is(request: Request, to_tag: str | None) -> str:
    lines: list[str] = []
    for name, spelled in (("from", "From"), ("to", "To"), ("call-id", "Call-ID"), ("cseq", "CSeq")):
        for value in request.fields.get(name, ())[:1]:
            tag = f";tag={to_tag}" if name == "to" and to_tag is not None and _lacks_tag(request) else ""
            lines.append(f"{spelled}: {value}{tag}\r\n")
    return "".join(lines)


def _lacks_tag(request: Request) -> bool:
    try:
        return request.to.tag is None
    except MessageError:
        return False  # nothing can be added to what cannot be read


def request_bytes(method: str, uri: str, fields: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """A whole request; Content-Length is added. Raises ValueError when a text holds CR or LF."""
    lines = [f"{method} {uri} SIP/2.0"]
    lines.extend([f"{name}: {value}" for name, value in fields])
    lines.append(f"Content-Length: {len(body)}")
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError("CR or LF in a header field")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body
