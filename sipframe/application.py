"""What an application that embeds a server may ask of it: bindings, their removal, requests to phones.

Rules: every answer is a Deferred, there at once or later. An AOR may be written with any name of its domain. What has
expired is not shown, whether the store has forgotten it or not. A request that fails says why
(:class:`~sipframe.uac.RequestFailed`); a response of any status is an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred

from sipframe import __version__
from sipframe.domains import Domains
from sipframe.message import MessageError, Response, SipURI, aor_of, parse_uri
from sipframe.registrar.removal import Removals, at_contact
from sipframe.seams import Seam
from sipframe.uac import Exchange, OwnRequest, Target, UserAgentClient
from sipframe.verdicts import Binding, Snapshot

__all__ = ["Application", "canonical"]


def canonical(domains: Domains, aor: str) -> str:
    """``aor`` as stores have it. Raises ValueError when it is no SIP URI with a user."""
    try:
        uri = parse_uri(aor)
    except MessageError as error:
        raise ValueError(f"{aor!r}: {error.reason}") from None
    if not isinstance(uri, SipURI) or uri.user is None:
        raise ValueError(f"{aor!r} is no address of record: write sip:USER@DOMAIN")
    return domains.aor_of(uri) or aor_of(uri)


class Application:
    """One running server, as the application has it."""

    def __init__(
        self,
        *,
        domains: Domains,
        location: Any,
        removals: Removals,
        client: UserAgentClient,
        seam: Seam,
        wall_clock: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._domains = domains
        self._location = location
        self._removals = removals
        self._client = client
        self._seam = seam
        self._wall_clock = wall_clock
        self._entropy = entropy

    def bindings(self, aor: str) -> Deferred[tuple[Binding, ...]]:
        """What ``aor`` has now."""
        found: Deferred[tuple[Binding, ...]] = Deferred()

        def looked_up(asked: Deferred[tuple[Binding, ...]], snapshot: object) -> None:
            if type(snapshot) is not Snapshot:
                raise TypeError("lookup() gave no Snapshot")
            now = self._wall_clock()
            _answer(asked, tuple([one for one in snapshot.bindings if one.expires_at > now]))

        def failed(asked: Deferred[tuple[Binding, ...]], method: object, error: BaseException) -> None:
            _fail(asked, error)

        name = canonical(self._domains, aor)
        self._seam.ask(self._location.lookup, (name,), found, looked_up, failed)
        return found

    def remove(self, aor: str, contact: str | None, reason: str) -> Deferred[tuple[Binding, ...]]:
        """Remove all bindings of ``aor``, or those at ``contact``; which they were."""
        gone: Deferred[tuple[Binding, ...]] = Deferred()
        name = canonical(self._domains, aor)
        which = _every_one if contact is None else at_contact(contact)
        self._removals.remove(
            name, which, reason, lambda those: _answer(gone, those), lambda error: _fail(gone, error)
        )
        return gone

    def send(
        self,
        method: str,
        target: str | Binding,
        *,
        to: str | None,
        from_: str | None,
        fields: Iterable[tuple[str, str]],
        body: bytes,
        content_type: str | None,
        provisional: Callable[[Response], object] | None,
    ) -> Deferred[Response]:
        """Send a request; the final response. Raises ValueError when it cannot be made."""
        binding = target if isinstance(target, Binding) else None
        where = target if binding is None else binding.contact
        assert isinstance(where, str)
        made = Target(where, () if binding is None else binding.path)
        request = OwnRequest(
            method,
            made,
            to=where if to is None else to,
            from_=f"sip:{self._host()}" if from_ is None else from_,
            entropy=self._entropy,
            fields=fields,
            body=body,
            content_type=content_type,
            user_agent=f"sipframe/{__version__}",
        )
        answered: Deferred[Response] = Deferred(lambda _: exchange.cancel())
        exchange = Exchange(
            request,
            made,
            lambda response: _answer(answered, response),
            lambda error: _fail(answered, error),
            provisional,
        )
        self._client.send(exchange, None if binding is None else self._client.flow_of(binding))
        return answered

    def stop(self) -> None:
        """Requests that are on their way have failed."""
        self._client.stop()

    def _host(self) -> str:
        name = self._domains.names[0]
        return f"[{name}]" if ":" in name else name


def _every_one(binding: Binding) -> bool:
    return True


def _answer(waiting: Deferred[Any], value: object) -> None:
    if not waiting.called:  # who cancelled it is not told
        waiting.callback(value)


def _fail(waiting: Deferred[Any], error: BaseException) -> None:
    if not waiting.called:
        waiting.errback(error)
