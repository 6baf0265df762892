"""What a request is checked for before it is proxied (RFC 3261 16.3, RFC 5393 4.2.2 and 5.3.3).

Rules: the checks come in the order of 16.3, and each has its answer; what is not checked here is no reason to refuse.
The parser has done the first check as far as every element needs it; fields that are read here, and are malformed,
raise MessageError (400). Authorization (check 6) asks plug-ins and is not done here. CANCEL and ACK are not proxied by
these rules.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple

import attrs

from sipframe.message import REASONS, MessageError, Request
from sipframe.proxy.loops import Branches
from sipframe.verdicts import Rejected

__all__ = ["AnswerHere", "Refusal", "Valid", "Validation", "validate"]

_SCHEMES: Final = frozenset(("sip", "sips"))


@attrs.frozen
class Validation:
    """What can be set about the checks."""

    understood: Container[str] = frozenset()
    """The option tags that Proxy-Require may name, in lower case."""
    max_forwards: int = attrs.field(default=70, validator=[attrs.validators.ge(1), attrs.validators.le(255)])
    """What a request gets that has no Max-Forwards (RFC 3261 16.6 step 3)."""
    max_breadth: int = attrs.field(default=60, validator=attrs.validators.ge(1))
    """The Max-Breadth of a request that has none, and the most that one may have (RFC 5393 5.3.3)."""


class Valid(NamedTuple):
    """The request may be proxied, with these values in what is forwarded."""

    max_forwards: int
    """RFC 3261 16.6 step 3: one less than it had."""
    breadth: int
    """Its Incoming Max-Breadth (RFC 5393 5.3.2), which the branches share."""


class AnswerHere(NamedTuple):
    """An OPTIONS that may go no further: answer it as its final recipient (RFC 3261 11, 16.3 step 3)."""


class Refusal(NamedTuple):
    """No: ``verdict`` is the answer, ``rule`` the paragraph that says so, ``why`` the case, for a record."""

    verdict: Rejected
    rule: str
    why: str


def validate(
    request: Request, branches: Branches, loop_part: str, settings: Validation
) -> Valid | AnswerHere | Refusal:
    """Check ``request``; ``loop_part`` is what :meth:`~sipframe.proxy.loops.Branches.loop_part` says of it.

    Raises MessageError when a field that matters is malformed.
    """
    scheme = request.uri.scheme
    if scheme not in _SCHEMES:
        return _refusal(416, "RFC 3261 16.3 step 2", f"a Request-URI with the scheme {scheme}")
    forwards = request.max_forwards
    if forwards == 0:
        if request.method == "OPTIONS":
            return AnswerHere()
        return _refusal(483, "RFC 3261 16.3 step 3", "Max-Forwards is 0")
    if branches.looped(request, loop_part):
        return _refusal(
            482, "RFC 5393 4.2.2", "it was here before, with nothing changed that decides its way"
        )
    if "proxy-require" in request.fields:
        unknown = [tag for tag in request.proxy_require if tag.lower() not in settings.understood]
        if unknown:
            tags = ", ".join(unknown)
            # RFC 3261 16.3 step 5: every option-tag that was not understood.
            verdict = Rejected(420, REASONS[420], (("Unsupported", tags),))
            return Refusal(verdict, "RFC 3261 16.3 step 5", f"Proxy-Require: {tags}")
    breadth = settings.max_breadth
    if "max-breadth" in request.fields:
        breadth = min(breadth, _max_breadth(request))
        if not breadth:
            return _refusal(440, "RFC 5393 5.3.3", "Max-Breadth is 0")
    return Valid(settings.max_forwards if forwards is None else forwards - 1, breadth)


def _max_breadth(request: Request) -> int:
    text = request.required("max-breadth", "Max-Breadth")
    # RFC 5393 5.8: 1*DIGIT. What is longer than this is larger than any limit.
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise MessageError("Malformed Max-Breadth")
    return int(text)


def _refusal(status: int, rule: str, why: str) -> Refusal:
    return Refusal(Rejected(status, REASONS[status]), rule, why)
