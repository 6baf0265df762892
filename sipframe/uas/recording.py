"""From an answer to its record: what names the request, and nothing that is secret.

Rules: it never fails: of a request that could not be read it records what could be. A password in a URI (RFC 3261
19.1.1) is left out. Whom To names is found out when somebody reads the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sipframe.decisions import MOST_TEXT, Decisions, Detail, RawStep, without_password
from sipframe.interfaces import IFlow
from sipframe.message import MessageError, Request, Response, SipURI, parse_uri
from sipframe.verdicts import Address

__all__ = ["Recorder"]


class Recorder:
    """Adds to ``decisions``; ``wall_clock`` gives seconds since 1970, ``aor_of`` the canonical AOR that a URI names."""

    __slots__ = ("_aor_of", "_wall_clock", "decisions")

    def __init__(
        self,
        decisions: Decisions,
        wall_clock: Callable[[], float],
        aor_of: Callable[[SipURI], str | None] | None,
    ) -> None:
        self.decisions = decisions
        self._wall_clock = wall_clock
        self._aor_of = aor_of

    def record(
        self,
        request: Request,
        flow: IFlow,
        peer: Address,
        status: int,
        reason: str,
        steps: Sequence[RawStep],
        aor: str | None = None,
    ) -> None:
        """Record a final answer to ``request``. ``aor`` is the canonical AOR when somebody has looked already."""
        if not self.decisions.wanted:
            return
        uri = request.uri_text
        if "@" in uri:  # seldom, in a REGISTER
            uri = without_password(uri)
        try:
            call_id, cseq = request.call_id, request.cseq.number
        except MessageError:
            call_id, cseq = request.first("call-id") or "", 0
        about = self._about(request) if aor is None else aor
        at = self._wall_clock()
        self.decisions.record(
            (at, request.method, uri, about, call_id, cseq, flow.transport, peer, status, reason, steps)
        )

    def record_replaced(
        self, response: Response, flow: IFlow, status: int, reason: str, steps: Sequence[RawStep]
    ) -> None:
        """Record the answer that was sent in place of ``response``, whose request is gone."""
        try:
            cseq = response.cseq
        except MessageError:
            return
        if not self.decisions.wanted:
            return
        call_id = response.first("call-id") or ""
        at, about = self._wall_clock(), self._about(response)
        number, transport, peer = cseq.number, flow.transport, flow.peer
        self.decisions.record(
            (at, cseq.method, "", about, call_id, number, transport, peer, status, reason, steps)
        )

    def _about(self, message: Request | Response) -> Detail:
        if self._aor_of is None:
            return ""
        try:
            text = message.to.uri_text
        except MessageError:
            return ""
        return (_canonical, self._aor_of, without_password(text)) if len(text) <= MOST_TEXT else ""


def _canonical(aor_of: Callable[[SipURI], str | None], text: str) -> str:
    """The canonical AOR that a URI names; empty when it names none of ours."""
    try:
        uri = parse_uri(text)
    except MessageError:
        return ""
    return (aor_of(uri) if isinstance(uri, SipURI) else None) or ""
