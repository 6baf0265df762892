"""What the tests of the proxy send: responses of branches, targets, and actions in few words."""

from __future__ import annotations

from collections.abc import Sequence

from sipframe.message import Response, parse_message
from sipframe.proxy import (
    Action,
    CancelBranch,
    Done,
    DropBranch,
    Forward,
    Respond,
    SetTimerC,
    StopTimerC,
    target_of,
)
from sipframe.verdicts import Target

__all__ = ["response", "target", "words"]


def target(name: str, q: str | None = None) -> Target:
    """``sip:NAME@192.0.2.9``, or ``name`` itself when it is a URI."""
    found = target_of(name if ":" in name else f"sip:{name}@192.0.2.9", q)
    assert found is not None
    return found


def response(status: int, *fields: str, reason: str = "", body: str = "") -> Response:
    """A response as a branch brings it: our Via on top of the caller's."""
    lines = [
        f"SIP/2.0 {status} {reason or 'Reason'}",
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours",
        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKtheirs;received=198.51.100.7",
        "From: <sip:alice@example.com>;tag=1",
        "To: <sip:bob@example.com>;tag=2",
        "Call-ID: call-1",
        "CSeq: 1 INVITE",
        *fields,
        f"Content-Length: {len(body)}",
    ]
    message = parse_message("\r\n".join([*lines, "", body]).encode())
    assert isinstance(message, Response)
    return message


def words(actions: Sequence[Action]) -> list[str]:
    """``forward 0 bob``, ``respond 180``, ``answer 408`` (of our own), ``cancel 0``, ``drop 0``, ``set C 0``, ``stop C
    0``, ``done``, ``done without an answer``."""
    return [_word(action) for action in actions]


def _word(action: Action) -> str:
    match action:
        case Forward(branch, target):
            return f"forward {branch} {target.uri.partition(':')[2].partition('@')[0]}"
        case Respond(status, None):
            return f"answer {status}"
        case Respond(status):
            return f"respond {status}"
        case CancelBranch(branch):
            return f"cancel {branch}"
        case DropBranch(branch):
            return f"drop {branch}"
        case SetTimerC(branch):
            return f"set C {branch}"
        case StopTimerC(branch):
            return f"stop C {branch}"
        case Done(answered):
            return "done" if answered else "done without an answer"
