"""The two requests that repeat another one's fields, hop by hop: the ACK for a non-2xx, and CANCEL.

Rules: both are made from the request as it was sent and change nothing that identifies it (RFC 3261 17.1.1.3, 9.1).
"""

from __future__ import annotations

from collections.abc import Iterable

from sipframe.message import Limits, Request, Response, parse_message, request_bytes

__all__ = ["ack_bytes", "cancel_bytes"]


def ack_bytes(invite: bytes, response: Response) -> bytes:
    """The ACK for a final response other than 2xx to ``invite``, a request of our own (RFC 3261 17.1.1.3).

    Credentials are repeated (RFC 3261 22.1). Raises MessageError when ``response`` has no readable To.
    """
    return _repeated(invite, "ACK", response.required("to", "To"), ("authorization", "proxy-authorization"))


def cancel_bytes(invite: bytes, reasons: Iterable[str] = ()) -> bytes:
    """The CANCEL for ``invite``, a request of our own (RFC 3261 9.1); ``reasons`` are Reason values (RFC 3326).

    It may be sent once a provisional response has come, on the flow that ``invite`` was sent on.
    """
    return _repeated(invite, "CANCEL", None, (), reasons)


def _repeated(
    invite: bytes, method: str, to: str | None, credentials: tuple[str, ...], reasons: Iterable[str] = ()
) -> bytes:
    request = parse_message(invite, Limits(head=len(invite), lines=len(invite)))  # what we sent we can read
    if not isinstance(request, Request):
        raise ValueError("not a request")
    fields = [("Via", request.via.text)]  # the top one alone
    fields += [("Route", value) for value in request.all("route")]
    fields += [
        ("From", request.required("from", "From")),
        ("To", request.required("to", "To") if to is None else to),
        ("Call-ID", request.call_id),
        ("CSeq", f"{request.cseq.number} {method}"),
        ("Max-Forwards", "70"),
    ]
    for name in credentials:
        fields += [(name.title(), value) for value in request.all(name)]
    fields += [("Reason", reason) for reason in reasons]
    return request_bytes(method, request.uri_text, fields)
