"""What a check does its work with: a user agent client that sends what it is told, right or wrong (RFC 3261 8.1).

Rules: one user agent is one check's. It has a Call-ID and flows of its own, binds only contacts that carry the token of
this run, and removes them at its end. It retransmits over UDP as RFC 3261 17.1.2 has it, and gives up by its
:class:`~sipframe.checking.target.Timing`. The clock, entropy and the sockets are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred

from sipframe.checking import trace
from sipframe.checking.check import Failed, NoAnswer, Skipped
from sipframe.checking.draft import Draft
from sipframe.checking.target import Sockets, Target, Timing
from sipframe.message import COOKIE, MessageError, NameAddr, Request, Response, SipURI
from sipframe.ua import Account, Choice, ClientError, choose
from sipframe.ua.answering import credentials
from sipframe.ua.flows import ClientFlow
from sipframe.ua.server import with_port

__all__ = ["HOUR", "UserAgent"]

HOUR: Final = 3600
"""The interval that no registrar may call too brief (RFC 3261 10.3 step 7)."""


class UserAgent:
    """One check's client. ``token`` marks the contacts of this run."""

    def __init__(
        self,
        clock: Any,
        target: Target,
        sockets: Sockets,
        timing: Timing,
        entropy: Callable[[int], bytes],
        token: str,
    ) -> None:
        self.target = target
        self.sockets = sockets
        self.timing = timing
        self.events: list[trace.Event] = []
        """What was sent and what came."""
        self.pongs = 0
        """How many single CRLFs have come."""
        self.strays: list[Response] = []
        """Final responses that nobody waited for."""
        self._clock = clock
        self._entropy = entropy
        self._token = token
        self._began = clock.seconds()
        self._flow: ClientFlow | None = None
        self._flows: list[ClientFlow] = []
        self._host = ""
        self._lost = ""
        self._waiting: dict[str, Deferred[Response | None]] = {}
        self._numbers: dict[str, int] = {}
        self._bound = False
        self.call_id = self.word()
        """What drafts have as their Call-ID."""

    # What a check says.

    def expect(self, fact: object, otherwise: str) -> None:
        """Fail, with ``otherwise`` as the reason, unless ``fact`` is true."""
        if not fact:
            raise Failed(otherwise)

    def expect_status(self, response: Response, *statuses: int, to: str = "it") -> None:
        """Fail unless the answer is one of ``statuses``."""
        if response.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            raise Failed(f"{to} is answered {response.status} {response.reason}, not {wanted}")

    def expect_refused(self, response: Response, to: str) -> None:
        """Fail when the answer is a 2xx."""
        self.expect(response.status >= 300, f"{to} is accepted: {response.status} {response.reason}")

    async def expect_kept_out(self, draft: Draft, what: str) -> None:
        """Fail when ``draft`` is answered by a 2xx; no answer is as good as a refusal."""
        response = await self.attempt(draft)
        if response is not None:
            self.expect_refused(response, what)

    def skip(self, reason: str) -> NoReturn:
        """The check does not apply."""
        raise Skipped(reason)

    def needs_vacancy(self) -> None:
        """Skip unless the AOR was vacant: what follows may cost it all bindings."""
        if not self.target.vacant:
            self.skip("the AOR has bindings that are not ours, so Contact: * is not sent")

    # What a request is made of.

    def word(self, octets: int = 12) -> str:
        """A token that was never used before."""
        return self._entropy(octets).hex()

    @property
    def aor(self) -> SipURI:
        return self.target.account.aor

    @property
    def domain(self) -> str:
        """The Request-URI of a REGISTER (RFC 3261 10.2)."""
        aor = self.aor
        return str(SipURI(aor.scheme, None, None, aor.host, aor.port, (), ()))

    @property
    def host(self) -> str:
        """Our own address and port on the flow, open when a check begins."""
        return self._host

    def contact(self, name: str = "a", *, uri: str = "", field: str = "") -> str:
        """A contact of ours. ``uri`` and ``field`` are parameters of either, with their semicolons."""
        return f"<sip:{self._token}-{name}@{self.host}{uri}>{field}"

    @property
    def token(self) -> str:
        """What the user part of each of our contacts begins with."""
        return self._token

    def via(self) -> str:
        """A Via with a branch of its own."""
        return f"SIP/2.0/{self.target.transport} {self.host};branch={COOKIE}{self.word()};rport"

    async def draft(
        self,
        *contacts: str,
        expires: int | None = None,
        method: str = "REGISTER",
        uri: str = "",
        cseq: int | None = None,
        call_id: str = "",
        account: Account | None = None,
    ) -> Draft:
        """A request as it should be, over the flow that is open; without ``cseq`` the next one of its Call-ID."""
        await self.connect()
        call_id = call_id or self.call_id
        number = self._numbers.get(call_id, 0) + 1 if cseq is None else cseq
        self._numbers[call_id] = number
        aor = (account or self.target.account).aor
        fields = [
            ("Via", self.via()),
            ("Max-Forwards", "70"),
            ("From", f"<{aor}>;tag={self.word(6)}"),
            ("To", f"<{aor}>"),
            ("Call-ID", call_id),
            ("CSeq", f"{number} {method}"),
            *[("Contact", contact) for contact in contacts],
        ]
        if expires is not None:
            fields.append(("Expires", str(expires)))
        return Draft(method, uri or self.domain, tuple(fields))

    def anew(self, draft: Draft) -> Draft:
        """The same request as another one: its Via and CSeq are new (RFC 3261 22.2)."""
        call_id = draft.first("call-id") or ""
        number = self._numbers.get(call_id, 0) + 1
        self._numbers[call_id] = number
        return draft.setting("Via", self.via()).setting("CSeq", f"{number} {draft.method}")

    # Asking.

    async def ask(self, request: Draft | bytes, cookie: str = "") -> Response:
        """Send a request and return its final answer. Raises NoAnswer.

        Octets need the ``cookie`` (:attr:`Draft.cookie`) that their answer is known by.
        """
        answer = await self.attempt(request, cookie, self.timing.answer)
        if answer is None:
            first = trace.sent(0, _octets(request)).text
            raise NoAnswer(self._lost or f"no answer to {first!a} within {self.timing.answer:g} s")
        return answer

    async def attempt(
        self,
        request: Draft | bytes,
        cookie: str = "",
        seconds: float | None = None,
        pieces: list[bytes] | None = None,
    ) -> Response | None:
        """Like :meth:`ask`, but None when there is no answer for ``seconds`` (default: the time of silence).

        Over a stream the request may be sent in ``pieces``, one turn of the reactor apart.
        """
        flow = await self.connect()
        data = _octets(request)
        if isinstance(request, Draft):
            cookie = request.cookie
        seconds = self.timing.silence if seconds is None else seconds
        waiting: Deferred[Response | None] = Deferred()
        self._waiting[cookie] = waiting
        calls = [self._clock.callLater(seconds, self._give_up, cookie)]
        if self.target.transport == "UDP":
            calls += [self._clock.callLater(at, self._send, flow, data) for at in self._again(seconds)]
        try:
            if pieces is None:
                self._send(flow, data)
            else:
                await self.send(data, pieces)
            return await waiting
        finally:
            for call in calls:
                if call.active():
                    call.cancel()
            self._waiting.pop(cookie, None)

    def _again(self, seconds: float) -> Iterator[float]:
        """When a request leaves again over UDP (RFC 3261 17.1.2.2, timer E)."""
        interval = after = self.timing.retransmit
        while after < seconds:
            yield after
            interval = min(interval * 2, 4.0)
            after += interval

    def answer(
        self,
        draft: Draft,
        choice: Choice,
        *,
        nc: int = 1,
        account: Account | None = None,
        uri: str = "",
    ) -> Draft:
        """``draft`` with credentials that answer ``choice``."""
        account = account or self.target.account
        value = credentials(
            choice,
            account.username,
            account.password or "",
            draft.method,
            uri or draft.uri,
            f"{nc:08x}",
            self.word(8),
            draft.body,
        )
        return draft.setting("Authorization", value)

    async def challenge(self) -> Choice | None:
        """A fresh challenge of the server; None when it lets anyone in."""
        answer = await self.ask(await self.draft(call_id=self.word()))
        return self.choice(answer) if answer.status == 401 else None

    async def proven(self, draft: Draft, account: Account | None = None) -> Response:
        """Send ``draft`` with credentials from the start, so that its Via and CSeq stay what they are."""
        choice = await self.challenge()
        if choice is not None:
            draft = self.answer(draft, choice, account=account)
        return await self.ask(draft)

    async def request(self, draft: Draft, account: Account | None = None) -> Response:
        """Send ``draft``; when that is challenged, once more with credentials. The answer to the last of them."""
        response = await self.ask(draft)
        if response.status != 401:
            return response
        draft = self.answer(self.anew(draft), self.choice(response), account=account)
        response = await self.ask(draft)
        if response.status == 401 and self.choice(response).stale:  # a nonce that served but once
            response = await self.ask(self.answer(self.anew(draft), self.choice(response), account=account))
        return response

    def choice(self, response: Response) -> Choice:
        """The challenge of ``response`` that is answered."""
        try:
            choice = choose(response.challenges)
        except MessageError as error:
            raise Failed(f"its challenge cannot be read: {error.reason}") from None
        if choice is None:
            raise Failed("it offers no digest challenge that can be answered")
        return choice

    async def register(self, *contacts: str, expires: int | None = HOUR, call_id: str = "") -> Response:
        """Bind ``contacts``, which has to be answered 200."""
        response = await self.request(await self.draft(*contacts, expires=expires, call_id=call_id))
        self.expect_status(response, 200, to="a REGISTER")
        return response

    async def fetch(self) -> Response:
        """What is bound now, by a REGISTER of a Call-ID of its own."""
        response = await self.request(await self.draft(call_id=self.word()))
        self.expect_status(response, 200, to="a query")
        return response

    def ours(self, response: Response) -> list[NameAddr]:
        """Our own bindings in the list of a 200."""
        try:
            return [one for one in response.contacts if self._token in one.uri_text]
        except MessageError as error:
            raise Failed(f"its list of bindings cannot be read: {error.reason}") from None

    def mine(self, response: Response) -> dict[str, NameAddr]:
        """Our own bindings in the list of a 200, by their URI."""
        return {one.uri_text: one for one in self.ours(response)}

    def names(self, response: Response) -> list[str]:
        """The names of our own bindings, as :meth:`contact` got them, sorted; one for each binding."""
        uris = [one.uri_text for one in self.ours(response)]
        found = [uri.partition(f"{self._token}-")[2].partition("@")[0] for uri in uris]
        return sorted(found)

    async def wait(self, seconds: float) -> None:
        """Do nothing for a while."""
        waiting: Deferred[None] = Deferred()
        self._clock.callLater(seconds, waiting.callback, None)
        await waiting

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for ``fact`` to be true, at most as long as for an answer."""
        end = self._clock.seconds() + self.timing.answer
        while not fact() and self._clock.seconds() < end:
            await self.wait(0.01)

    # The flow.

    async def connect(self) -> ClientFlow:
        """The flow that is open, or a new one."""
        flow = self._flow
        if flow is None or not flow.alive:
            try:
                flow = self._flow = await self.sockets.open()
            except ClientError as error:
                raise NoAnswer(str(error)) from None
            self._lost = ""
            self._host = with_port(*flow.local)
            self._flows.append(flow)
            flow.sink = self
            if flow.tls_version:
                self.remark(f"connected, {flow.tls_version.replace('TLSv', 'TLS ')}")
        return flow

    @property
    def connected(self) -> bool:
        """Whether there is a flow that lives."""
        return self._flow is not None and self._flow.alive

    def disconnect(self) -> None:
        """Close the flow; the next request opens another one."""
        if self._flow is not None:
            self._flow.close()
            self._flow = None

    async def send(self, data: bytes, pieces: list[bytes] | None = None) -> None:
        """Send octets as they are; in ``pieces``, one turn of the reactor apart, when they are given."""
        flow = await self.connect()
        self._record(trace.sent(self._now(), data))
        for piece in [data] if pieces is None else pieces:
            flow.send(piece)
            if pieces is not None:
                await self.wait(0)

    def remark(self, text: str) -> None:
        """Put a line into the record."""
        self._record(trace.remark(self._now(), text))

    async def clean(self) -> None:
        """Remove what this run has bound. Raises Failed when that does not work."""
        if not self._bound:
            return
        self.disconnect()  # whatever state the check has left it in
        left = self.mine(await self.fetch())
        if left:
            gone = [f"<{uri}>;expires=0" for uri in left]
            response = await self.request(await self.draft(*gone, call_id=self.word()))
            self.expect_status(response, 200, to="the removal of our contacts")
            self.expect(not self.ours(response), "our contacts are still listed after their removal")
        self._bound = False

    def close(self) -> None:
        """Let go of everything."""
        self._flow = None
        for flow in self._flows:
            flow.close()
        for cookie in list(self._waiting):
            self._give_up(cookie)

    def _send(self, flow: ClientFlow, data: bytes) -> None:
        again = bool(self.events) and self.events[-1].octets == data
        self._record(trace.sent(self._now(), data, again=again))
        flow.send(data)

    def _give_up(self, cookie: str) -> None:
        waiting = self._waiting.pop(cookie, None)
        if waiting is not None:
            waiting.callback(None)

    def _now(self) -> float:
        return float(self._clock.seconds() - self._began)

    def _record(self, event: trace.Event) -> None:
        self.events.append(event)
        if event.direction is trace.Direction.SENT and self._token.encode() in event.octets:
            self._bound = True

    # From the flow.

    def sent(self, data: bytes) -> None:
        pass

    def arrived(self, message: Request | Response) -> None:
        self._record(trace.arrived(self._now(), message))
        if not isinstance(message, Response) or message.status < 200:
            return
        known_by = f"{message.first('via')} {message.first('call-id')}"
        cookie = next((cookie for cookie in self._waiting if cookie and cookie in known_by), None)
        if cookie is None:
            self.strays.append(message)
        else:
            self._waiting.pop(cookie).callback(message)

    def malformed(self, error: MessageError) -> None:
        self.remark(f"what came is no SIP: {error.reason}")

    def pong(self) -> None:
        self.pongs += 1
        self.remark("CRLF came")

    def lost(self, reason: str) -> None:
        self._lost = reason
        self.remark(reason)
        for cookie in list(self._waiting):
            self._give_up(cookie)


def _octets(request: Draft | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.to_bytes()
