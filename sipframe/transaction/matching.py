"""What messages are matched to transactions by: RFC 3261 17.2.3 for requests, 17.1.3 for responses.

Rules: a key is a tuple that is equal for all messages of one transaction and for no others. Keys of RFC 3261 peers and
of RFC 2543 peers have different shapes, so that they never meet. Branches are compared octet by octet: whoever repeats
one copies it, and many make them of letters in both cases.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sipframe.message import COOKIE, Request, Response, Via

__all__ = ["BranchKey", "Rfc2543Key", "ServerKey", "client_key", "original_keys", "server_key"]

BranchKey = tuple[str, str, int | None, str]
"""Branch, sent-by host in lower case, sent-by port, method."""

_COOKIE_LENGTH: Final = len(COOKIE)

CANCELLABLE: Final = (
    *("INVITE", "REGISTER", "OPTIONS", "BYE", "MESSAGE", "SUBSCRIBE"),
    *("NOTIFY", "PUBLISH", "REFER", "UPDATE", "INFO", "PRACK"),
)
"""The methods that a CANCEL is tried with (RFC 3261 9.2: it does not say which); INVITE first, no other makes sense."""


class Rfc2543Key(NamedTuple):
    """The key of a request whose branch was not made by RFC 3261's rules."""

    uri_text: str
    to_tag: str | None
    from_tag: str | None
    call_id: str
    cseq: int
    via: str
    method: str


ServerKey = BranchKey | Rfc2543Key


def server_key(request: Request, via: Via) -> ServerKey:
    """The key of the server transaction that ``request`` belongs to; an ACK has the key of its INVITE.

    ``via`` is its topmost Via.

    The ACK of an RFC 2543 peer has the INVITE's key but for its To tag, which is that of the response. Raises
    MessageError when the fields that matter cannot be read.
    """
    method = request.method
    if method == "ACK":
        method = "INVITE"  # RFC 3261 17.2.3, item 3
    _, _, host, port, params, _ = via
    for name, branch in params:
        if name == "branch":
            # A branch that is the bare cookie tells nothing apart (RFC 4475 3.2.1).
            if branch is not None and branch[:_COOKIE_LENGTH] == COOKIE and len(branch) > _COOKIE_LENGTH:
                return branch, host.lower(), port, method
            break
    return Rfc2543Key(
        request.uri_text,
        request.to.tag,
        request.from_.tag,
        request.call_id,
        request.cseq.number,
        via.text,
        method,
    )


def original_keys(cancel: Request) -> list[ServerKey]:
    """The keys that the request which ``cancel`` cancels may have, the likeliest first (RFC 3261 9.2)."""
    key = server_key(cancel, cancel.via)
    if isinstance(key, Rfc2543Key):
        return [key._replace(method=method) for method in CANCELLABLE]
    return [(*key[:3], method) for method in CANCELLABLE]


def client_key(response: Response) -> tuple[str, str]:
    """Branch and CSeq method (RFC 3261 17.1.3). Raises MessageError when one cannot be read."""
    return response.via.branch or "", response.cseq.method
