"""One registration from the client's side: REGISTER, the challenge, the answer to it, the bindings (RFC 3261 10.2, 22).

Rules: no I/O, no clock; entropy is an argument. Each final response gives either the next request or the end. Nothing
is tried for ever: a challenge that comes again for credentials that were sent is a refusal unless it says ``stale``,
and that is believed once; an interval that is too brief is lengthened once. A redirection is reported, not followed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum
from typing import NamedTuple

import attrs

from sipframe import __version__
from sipframe.message import COOKIE, MessageError, NameAddr, Response, SipURI, request_bytes
from sipframe.ua.answering import ProtectionSpace, choose

__all__ = ["Account", "Action", "Attempt", "Contact", "Finished", "Registration", "Verdict"]


class Action(Enum):
    """What a registration is for (RFC 3261 10.2.1 to 10.2.3)."""

    BIND = "bind"
    FETCH = "fetch"
    REMOVE = "remove"
    REMOVE_ALL = "remove all"


class Verdict(StrEnum):
    """How a registration ended, as a person is told."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    REDIRECTED = "redirected to another place, which is not followed"
    NO_PASSWORD = "the server asks for a password, and none was given"
    WRONG_CREDENTIALS = "refused: the username or the password is wrong"
    NO_USABLE_CHALLENGE = "refused: the server offers no digest challenge that can be answered"
    TOO_BRIEF = "refused: the expiration interval is too brief, lengthened as the server asked"
    TOO_MANY_REQUESTS = "given up: the server asks for one request after another"


@attrs.frozen
class Account:
    """Who registers."""

    aor: SipURI
    username: str
    password: str | None = attrs.field(default=None, repr=False)
    """None when there is none: a challenge then ends the registration."""


class Contact(NamedTuple):
    """A contact as it is registered. ``text`` is a whole name-addr without ``expires``."""

    text: str
    expires: int | None = None
    """Seconds; None leaves it to the Expires field, and that to the server."""

    def __str__(self) -> str:
        return self.text if self.expires is None else f"{self.text};expires={self.expires}"


class Attempt(NamedTuple):
    """A request that is ready to be sent."""

    data: bytes
    branch: str


class Finished(NamedTuple):
    """The end. ``response`` is the last one."""

    verdict: Verdict
    response: Response
    server_proved: bool | None = None
    """Whether the server has proved that it knows the password (RFC 7616 3.5); None when it did not try."""

    @property
    def accepted(self) -> bool:
        """Whether the last answer was a 2xx."""
        return self.verdict is Verdict.ACCEPTED

    @property
    def bindings(self) -> tuple[NameAddr, ...]:
        """What the server lists (RFC 3261 10.3 step 8). Raises MessageError when it cannot be read."""
        return self.response.contacts


class Registration:
    """Makes the requests of one registration; :meth:`first`, then :meth:`received` until it is finished.

    ``sent_by`` is the transport and our address as Via has them: ``("TLS", "192.0.2.1:5061")``. ``contacts`` are used
    by BIND and REMOVE. ``expires`` (seconds) goes into the Expires field. ``entropy(n)`` gives n octets.
    ``most_requests`` bounds how many requests there are in all.
    """

    METHOD = "REGISTER"

    def __init__(
        self,
        account: Account,
        sent_by: tuple[str, str],
        entropy: Callable[[int], bytes],
        *,
        action: Action = Action.BIND,
        contacts: tuple[Contact, ...] = (),
        expires: int | None = None,
        most_requests: int = 8,
    ) -> None:
        self._account = account
        self._sent_by = sent_by
        self._entropy = entropy
        self._action = action
        self._contacts = contacts
        self._expires = expires
        self._left = most_requests
        self._spaces: dict[tuple[bool, str], ProtectionSpace] = {}
        self._stale_believed = False
        self._lengthened = False
        self._cseq = 0
        self._call_id = self._token(16)
        self._tag = self._token(8)
        aor = account.aor
        self.uri = str(SipURI(aor.scheme, None, None, aor.host, aor.port, (), ()))
        """The Request-URI: the domain, without user and parameters (RFC 3261 10.2)."""

    def first(self) -> Attempt:
        """The first request."""
        return self._attempt()

    def received(self, response: Response) -> Attempt | Finished:
        """What follows a final response."""
        status = response.status
        if status in (401, 407):
            return self._challenged(response, proxy=status == 407)
        for space in self._spaces.values():
            space.proved = True
        if 200 <= status < 300:
            return Finished(Verdict.ACCEPTED, response, self._server_proved(response))
        if status == 423:
            return self._too_brief(response)
        return Finished(Verdict.REDIRECTED if status < 400 else Verdict.REFUSED, response)

    def _challenged(self, response: Response, *, proxy: bool) -> Attempt | Finished:
        try:
            choice = choose(response.proxy_challenges if proxy else response.challenges)
        except MessageError:
            choice = None
        if choice is None:
            return Finished(Verdict.NO_USABLE_CHALLENGE, response)
        if self._account.password is None:
            return Finished(Verdict.NO_PASSWORD, response)
        space = self._spaces.get((proxy, choice.realm))
        if space is None:
            self._spaces[proxy, choice.realm] = ProtectionSpace(choice, proxy=proxy)
        else:
            # RFC 3261 22.2: the same credentials must not be tried again, unless it was only the nonce (RFC 7616 3.3).
            # A server that went on with them may also ask anew for a later request.
            if not space.proved:
                if not choice.stale or self._stale_believed:
                    return Finished(Verdict.WRONG_CREDENTIALS, response)
                self._stale_believed = True
            space.proved = False
            space.renew(choice)
        return self._again(response)

    def _too_brief(self, response: Response) -> Attempt | Finished:
        try:
            least = response.min_expires
        except MessageError:
            least = None
        if least is None or self._action not in (Action.BIND,):
            return Finished(Verdict.REFUSED, response)
        if self._lengthened:
            return Finished(Verdict.TOO_BRIEF, response)
        # RFC 3261 10.2.8: equal to or greater than Min-Expires.
        self._lengthened = True
        self._expires = max(self._expires or 0, least)
        self._contacts = tuple(
            contact if contact.expires is None else contact._replace(expires=max(contact.expires, least))
            for contact in self._contacts
        )
        return self._again(response)

    def _again(self, response: Response) -> Attempt | Finished:
        if self._left <= 0:
            return Finished(Verdict.TOO_MANY_REQUESTS, response)
        return self._attempt()

    def _attempt(self) -> Attempt:
        self._left -= 1
        self._cseq += 1  # RFC 3261 10.2: by one for each REGISTER with the same Call-ID
        transport, address = self._sent_by
        branch = COOKIE + self._token(12)
        aor = self._account.aor
        fields = [
            # RFC 3581 3: rport, so that the answer finds its way back through a NAT.
            ("Via", f"SIP/2.0/{transport} {address};branch={branch};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<{aor}>;tag={self._tag}"),
            ("To", f"<{aor}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} {self.METHOD}"),
        ]
        fields += self._wanted()
        fields += self._credentials()
        fields.append(("User-Agent", f"sipframe/{__version__}"))
        return Attempt(request_bytes(self.METHOD, self.uri, fields), branch)

    def _wanted(self) -> list[tuple[str, str]]:
        if self._action is Action.FETCH:
            return []  # RFC 3261 10.2.3: no Contact asks for the list
        if self._action is Action.REMOVE_ALL:
            return [("Contact", "*"), ("Expires", "0")]  # RFC 3261 10.2.2
        if self._action is Action.REMOVE:
            return [("Contact", str(contact._replace(expires=0))) for contact in self._contacts]
        found = [("Contact", str(contact)) for contact in self._contacts]
        if self._expires is not None:
            found.append(("Expires", str(self._expires)))
        return found

    def _credentials(self) -> list[tuple[str, str]]:
        account = self._account
        if account.password is None:
            return []
        return [
            (
                "Proxy-Authorization" if space.proxy else "Authorization",
                space.credentials(account.username, account.password, self.METHOD, self.uri, self._token(8)),
            )
            for space in self._spaces.values()
        ]

    def _server_proved(self, response: Response) -> bool | None:
        try:
            info = response.authentication_info
        except MessageError:
            return None
        proofs = [
            space.server_knows(info, response.body) for space in self._spaces.values() if not space.proxy
        ]
        return next((proof for proof in proofs if proof is not None), None)

    def _token(self, octets: int) -> str:
        return self._entropy(octets).hex()
