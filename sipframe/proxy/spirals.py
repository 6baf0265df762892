"""Spirals: requests of ours that come back (RFC 3261 16.3 step 4, RFC 5393 4.1).

Rules: whoever has got a copy knows its branch, and could send another request by it, or the same one, and be taken for
its sender from then on. So it must be the very request, while its transaction lives, and come from where it left.
"""

from __future__ import annotations

from sipframe.interfaces import IFlow
from sipframe.message import Limits, MessageError, Request, parse_message
from sipframe.proxy.fork import Branch
from sipframe.sending import Sending
from sipframe.transaction import TransactionLayer

__all__ = ["branch_of"]


def branch_of(request: Request, flow: IFlow, layer: TransactionLayer) -> Branch | None:
    """The branch that ``request`` is a copy for, when it is one that has left here and has led here again."""
    transaction = layer.sent(request.via.branch, request.method)
    sending = None if transaction is None else transaction.user
    branch = sending.user if isinstance(sending, Sending) else None
    if transaction is None or not isinstance(branch, Branch) or transaction.flow.local != flow.peer:
        return None
    sent = transaction.data
    try:
        copy = parse_message(sent, Limits(head=len(sent), lines=len(sent)))
    except MessageError:
        return None
    return branch if isinstance(copy, Request) and _identifying(copy) == _identifying(request) else None


def _identifying(
    request: Request,
) -> tuple[str, list[str], list[str], list[str], list[str], list[str], bytes]:
    every = request.all
    return (
        request.uri_text,
        every("from"),
        every("to"),
        every("call-id"),
        every("cseq"),
        every("route"),
        request.body,
    )
