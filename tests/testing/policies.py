"""Policies to try the contract on: three that keep it, and many that each break one rule."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sipframe.interfaces import IFlow
from sipframe.message import Request, SipURI
from sipframe.policy import BasePolicy
from sipframe.verdicts import Admitted, Identity, Rejected, Routing, Target, Terms


class Fair(BasePolicy):
    """Ten requests for each source, of which it remembers few."""

    def __init__(self) -> None:
        self.sources: OrderedDict[str, int] = OrderedDict()

    def admit(self, request: Request, flow: IFlow) -> object:
        host = flow.peer.host
        self.sources[host] = self.sources.get(host, 0) + 1
        self.sources.move_to_end(host)
        if len(self.sources) > 50:
            _ = self.sources.popitem(last=False)
        return Admitted() if self.sources[host] <= 10 else Rejected(503, "Slow Down", (("Retry-After", "1"),))


class Slow(BasePolicy):
    """Three contacts, after some thought."""

    def __init__(self, reactor: IReactorTime) -> None:
        self.reactor = reactor

    async def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Terms:
        answer: Deferred[None] = Deferred()
        self.reactor.callLater(0.1, answer.callback, None)
        await answer
        return terms._replace(max_contacts=min(3, terms.max_contacts))


class Gateway(BasePolicy):
    """Numbers go by a gateway; nobody calls at night."""

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        uri = request.uri
        if not isinstance(uri, SipURI) or not (uri.user or "").startswith("+"):
            return routing
        if identity is None:
            return Rejected(603, "Decline")
        return routing._replace(targets=(Target(request.uri_text, path=("<sip:192.0.2.7;lr>",)),))


# Those that break a rule.


class Scribbles(BasePolicy):
    """It marks what it has seen."""

    def admit(self, request: Request, flow: IFlow) -> object:
        request.fields["x-seen"] = ["yes"]
        return Admitted()


class Raises(BasePolicy):
    """Every phone says what it is."""

    def admit(self, request: Request, flow: IFlow) -> object:
        agent = request.first("user-agent")
        assert agent is not None
        return Admitted()


class Raises6(BasePolicy):
    """Every address has four numbers."""

    def admit(self, request: Request, flow: IFlow) -> object:
        _ = [int(number) for number in flow.peer.host.split(".")]
        return Admitted()


class SaysTrue(BasePolicy):
    """True is yes, is it not?"""

    def admit(self, request: Request, flow: IFlow) -> object:
        return True


class SaysNothing(BasePolicy):
    """It has nothing against it."""

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> object:
        return None


class InsideOut(BasePolicy):
    """At most a minute."""

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> object:
        return terms._replace(max_expires=60)


class Generous(BasePolicy):
    """As many contacts as anybody likes."""

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> object:
        return terms._replace(max_contacts=1000)


class Halves(BasePolicy):
    """Half of it."""

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> object:
        return terms._replace(max_contacts=cast(int, terms.max_contacts / 2))


class Echoes(BasePolicy):
    """It refuses in the words of whoever sent it."""

    def admit(self, request: Request, flow: IFlow) -> object:
        return Rejected(403, "Forbidden", (("Reason", f"SIP;text={request.uri_text}\r\nX: y"),))


class Declines(BasePolicy):
    """No registrar says 603."""

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> object:
        return Rejected(603, "Decline")


class Elsewhere(BasePolicy):
    """It says where, and forgets to say how."""

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        return routing.targets


class Dials(BasePolicy):
    """Who is not here is a number."""

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        return routing if routing.targets else routing._replace(targets=(Target("tel:+12015550123"),))


class Unframed(BasePolicy):
    """By way of the gateway, of which it knows the name."""

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        return routing._replace(targets=(Target("sip:alice@example.com", path=("gateway.example.com",)),))


class Weighs(BasePolicy):
    """Everybody's q by half."""

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        return routing._replace(
            targets=tuple(target._replace(q=cast(int, target.q / 2)) for target in routing.targets)
        )


class Lists(BasePolicy):
    """The last one only."""

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        return routing._replace(targets=cast(tuple[Target, ...], list(routing.targets[-1:])))


class Believes(BasePolicy):
    """Everybody has proved something."""

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        assert identity is not None
        return routing if identity.aors else Rejected(403, "Forbidden")


class Wanders(BasePolicy):
    """One place after the other."""

    def __init__(self) -> None:
        self.asked = 0

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> object:
        self.asked += 1
        return routing._replace(targets=(Target(f"sip:gateway-{self.asked}.example.com"),))


class Moody(BasePolicy):
    """Every second one."""

    def __init__(self) -> None:
        self.asked = 0

    def admit(self, request: Request, flow: IFlow) -> object:
        self.asked += 1
        return Admitted() if self.asked % 2 else Rejected(403, "Forbidden")


class Hoards(Fair):
    """It remembers everybody."""

    def admit(self, request: Request, flow: IFlow) -> object:
        self.sources[flow.peer.host] = 1
        return Admitted()


class Ticks(BasePolicy):
    """It wakes up every second, and goes on doing so."""

    def __init__(self, reactor: IReactorTime) -> None:
        self.reactor = reactor
        self.call: IDelayedCall | None = None
        self.tick()

    def tick(self) -> None:
        self.call = self.reactor.callLater(1, self.tick)

    def close(self) -> None:
        self.call = None
