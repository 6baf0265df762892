"""The UAC core: requests of our own outside any dialog, and what becomes of them (RFC 3261 8.1, RFC 3327 5.2).

Rules: a request is checked when it is made; what is wrong with it raises ValueError before anything is sent. It has no
dialog and begins none: INVITE, ACK and CANCEL are not for this room. A challenge to it is a final response like any
other: nobody here has a password. It goes by the flow that its target registered by while that lives, else to the
target's address; a ``sips`` URI is never sent to over anything but TLS. No socket, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, runtime_checkable

from sipframe.events import Events
from sipframe.interfaces import IFlow
from sipframe.message import (
    URI,
    MessageError,
    Response,
    SipURI,
    parse_name_addr,
    parse_uri,
    request_bytes,
)
from sipframe.roads import Hop, OurEnd, Unroutable
from sipframe.seams import Seam, report
from sipframe.sending import Sender, Sending, SendingUser
from sipframe.verdicts import Binding, Unavailable

__all__ = [
    "Exchange",
    "HearsOfFailures",
    "OwnRequest",
    "RequestFailed",
    "Resolver",
    "Target",
    "UserAgentClient",
]

_NOT_HERE: Final = frozenset({"INVITE", "ACK", "CANCEL"})
_WITH_CONTACT: Final = frozenset({"SUBSCRIBE", "NOTIFY", "REFER"})
"""For these a Contact is mandatory (RFC 6665 8.2, RFC 3515 2.2); a MESSAGE must have none (RFC 3428 4)."""
_OURS: Final = frozenset(
    {
        "via",
        "v",
        "from",
        "f",
        "to",
        "t",
        "call-id",
        "i",
        "cseq",
        "max-forwards",
        "route",
        "content-length",
        "l",
    }
    | {"content-type", "c"}
)
"""Header fields that are written here."""
_TOKEN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")


class RequestFailed(Exception):
    """No final response will come. ``status`` is the one to take for it (RFC 3261 8.1.3.1), ``reason`` says why:
    408 when all is silent, 416 when the URI is no SIP URI, 503 when nobody can be reached or the server stops, 513 when
    the request is too large, 502 when the answer was for someone else.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class Resolver(Protocol):
    """Finds the hops of a URI (RFC 3263)."""

    def resolve(self, uri: SipURI) -> object:
        """A sequence of :class:`~sipframe.roads.Hop`, the first one to be tried first; a Deferred or a coroutine will
        do. Raises :class:`~sipframe.roads.Unroutable`. See :class:`HearsOfFailures` too.
        """


@runtime_checkable
class HearsOfFailures(Protocol):
    """A resolver that is told where requests could not be sent, and may put such hops last (RFC 3263 4.3)."""

    def failed(self, hop: Hop, response: Response | None) -> object:
        """``hop`` could not be reached or was silent, or ``response``, a 503, has come from there."""


class Target:
    """Where a request goes: Request-URI, Route, and the next hop's URI (RFC 3261 8.1.2, 12.2.1.1, RFC 3327 5.2)."""

    __slots__ = ("next", "request_uri", "routes", "secure")

    def __init__(self, uri: str, path: Sequence[str] = ()) -> None:
        first: URI = parse_uri(uri)
        self.request_uri = _without_the_rest(first) if isinstance(first, SipURI) else uri
        self.routes = tuple(path)
        self.secure = first.scheme == "sips"
        if path:
            first = parse_name_addr(path[0]).uri
            self.secure = self.secure or first.scheme == "sips"
            if isinstance(first, SipURI) and first.param("lr") is None:
                # RFC 3261 12.2.1.1: a strict router finds itself in the Request-URI.
                self.routes = (*path[1:], f"<{self.request_uri}>")
                self.request_uri = _without_the_rest(first)
        self.next = first


def _without_the_rest(uri: SipURI) -> str:
    """``uri`` as a Request-URI: without what is not allowed there (RFC 3261 19.1.1, table 1)."""
    return str(uri._replace(params=tuple([one for one in uri.params if one[0] != "method"]), headers=()))


class OwnRequest:
    """A request that is whole but for its top Via. Raises ValueError when it cannot be.

    ``to`` and ``from_`` are URIs, ``fields`` further header fields, ``entropy(n)`` gives n octets.
    """

    def __init__(
        self,
        method: str,
        target: Target,
        *,
        to: str,
        from_: str,
        entropy: Callable[[int], bytes],
        fields: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
        user_agent: str = "",
    ) -> None:
        if not method or not _TOKEN.issuperset(method):
            raise ValueError(f"{method!a} is no method")
        if method in _NOT_HERE:
            raise ValueError(f"{method} belongs to a call: only requests outside a dialog are sent here")
        if (content_type is None) == bool(body):
            raise ValueError("a body and a content type go together")
        for uri in (to, from_):
            _ = parse_uri(uri)
        given = [(name, value) for name, value in fields]
        for name, _value in given:
            if not name or not _TOKEN.issuperset(name) or name.lower() in _OURS:
                raise ValueError(f"{name!a} is no header field to give")
        self.method = method
        self.body = body
        self._secure = target.secure
        self._uri = target.request_uri
        self._wants_contact = method in _WITH_CONTACT and not any(
            name.lower() in ("contact", "m") for name, _ in given
        )
        self._fields = [
            ("Max-Forwards", "70"),  # RFC 3261 8.1.1.6
            *[("Route", route) for route in target.routes],
            ("From", f"<{from_}>;tag={entropy(8).hex()}"),
            ("To", f"<{to}>"),
            ("Call-ID", entropy(16).hex()),
            ("CSeq", f"1 {method}"),
            *([("User-Agent", user_agent)] if user_agent else []),
            *given,
            *([] if content_type is None else [("Content-Type", content_type)]),
        ]
        _ = self.whole("", OurEnd("UDP", "", 0))  # raises for CR or LF anywhere

    @property
    def branch_end(self) -> str:
        """Nothing: a request of our own has come from nowhere."""
        return ""

    def compose(self, via: str, ours: OurEnd, flow: IFlow) -> bytes:
        """The whole request."""
        return self.whole(via, ours)

    def whole(self, via: str, ours: OurEnd) -> bytes:
        """The same, by whatever flow."""
        fields = [("Via", via), *self._fields]
        if self._wants_contact:
            # RFC 3261 8.1.1.8: sips, when the Request-URI or the first Route is.
            fields.append(("Contact", f"<sips:{ours.sent_by}>" if self._secure else f"<{ours.uri}>"))
        return request_bytes(self.method, self._uri, fields, self.body)


class Exchange(SendingUser):
    """One request and its answer. It ends with ``answered(response)`` or ``failed(error)``, once."""

    __slots__ = ("_answered", "_failed", "_provisional", "over", "request", "sending", "target")

    def __init__(
        self,
        request: OwnRequest,
        target: Target,
        answered: Callable[[Response], object],
        failed: Callable[[RequestFailed], object],
        provisional: Callable[[Response], object] | None,
    ) -> None:
        self.request = request
        self.target = target
        self.sending: Sending | None = None
        self.over = False
        self._answered = answered
        self._failed = failed
        self._provisional = provisional

    def cancel(self) -> None:
        """The answer is not waited for any more. What has been sent cannot be taken back."""
        self.over = True
        if self.sending is not None:
            self.sending.cancel()

    def response(self, sending: Sending, response: Response) -> None:
        """A response has come."""
        if self.over:
            return
        if response.status < 200:
            if self._provisional is not None:
                self._provisional(response)
            return
        try:
            ours = len(response.vias) == 1
        except MessageError:
            ours = False
        if ours:
            self.over = True
            self._answered(response)
        else:
            self.fail(502, "the answer was for someone else")  # RFC 3261 8.1.3.3

    def failed(self, sending: Sending, status: int, reason: str) -> None:
        """No response will come."""
        self.fail(status, reason)

    def fail(self, status: int, reason: str) -> None:
        """It has failed."""
        if not self.over:
            self.over = True
            self._failed(RequestFailed(status, reason))


class UserAgentClient:
    """Sends requests of our own for one server; ``resolver`` is asked through ``seam``."""

    def __init__(self, sender: Sender, resolver: Resolver, seam: Seam, events: Events) -> None:
        self._sender = sender
        self._resolver = resolver
        self._seam = seam
        self._events = events

    def flow_of(self, binding: Binding) -> IFlow | None:
        """The flow that ``binding`` was registered by, if a request can be sent to it by that: it lives, no Path says
        otherwise (RFC 3327 5.2), and it is as secure as the contact asks for.
        """
        if binding.path:
            return None
        flow = self._sender.roads.find(binding.flow)
        if flow is None or (not flow.secure and binding.contact[:5].lower() == "sips:"):
            return None
        return flow

    def send(self, exchange: Exchange, flow: IFlow | None = None) -> None:
        """Send the request, by ``flow`` if there is one. It may end before this returns."""
        uri = exchange.target.next
        if flow is not None:
            self._send(exchange, [flow])
        elif not isinstance(uri, SipURI):
            exchange.fail(416, f"nothing is sent to a {uri.scheme} URI")
        else:
            self._seam.ask(self._resolver.resolve, (uri,), exchange, self._resolved, self._not_resolved)

    def stop(self) -> None:
        """Every request that is on its way has failed."""
        self._sender.stop()

    def _resolved(self, exchange: Exchange, hops: object) -> None:
        if exchange.over:
            return
        if not isinstance(hops, list | tuple) or not all(type(hop) is Hop for hop in hops):
            raise TypeError("resolve() gave no hops")
        if exchange.target.secure:
            hops = [hop for hop in hops if hop.transport == "TLS"]  # RFC 3261 26.2.2
        self._send(exchange, hops)

    def _not_resolved(self, exchange: Exchange, method: object, error: BaseException) -> None:
        if isinstance(error, Unroutable):
            exchange.fail(error.status, error.reason)
            return
        report(self._events, method, error)
        reason = str(error) if isinstance(error, Unavailable) else "the look-up failed"
        exchange.fail(503, reason)

    def _send(self, exchange: Exchange, ways: Sequence[IFlow | Hop]) -> None:
        sending = self._sender.send(exchange.request, ways, exchange)
        if not sending.over:
            exchange.sending = sending
