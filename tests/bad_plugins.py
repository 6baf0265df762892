"""One plug-in of each kind that does whatever a plug-in should not do, for users whose names begin with ``bad``.

Everybody else it serves at once, and rightly. They are chosen by their dotted names. ``way`` is one of :data:`WAYS`,
and may be changed while the server runs; ``lie`` says which one of the lies that :data:`LIES` has for the method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import deferLater
from zope.interface import implementer

from sipframe.interfaces import IAuthenticator, ICredentialSource, IFlow, ILocationStore, IPolicy
from sipframe.location import MemoryStore
from sipframe.message import Request
from sipframe.policy import BasePolicy
from sipframe.surroundings import Surroundings
from sipframe.verdicts import (
    Abstained,
    Accepted,
    Admitted,
    Binding,
    Challenge,
    Identity,
    Rejected,
    Routing,
    Secret,
    Snapshot,
    Target,
    Terms,
    Unavailable,
)

__all__ = ["LIES", "PASSWORD", "SECRET", "WAYS", "Authenticator", "Policy", "Source", "Store"]

PASSWORD: Final = "zanzibar"
SECRET: Final = "what no client may ever read"
"""What exceptions say here."""
HANG: Final = 60.0


class _Unprintable(Exception):
    """Raises again when somebody looks at it."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


async def _deaf() -> object:
    while True:
        try:
            await Deferred[object]()
        except CancelledError:  # no, thank you
            continue


async def _raising() -> object:
    raise KeyError(SECRET)


def _raised(error: Exception) -> object:
    raise error


Way = Callable[[Any, Any, Any], object]

WAYS: Final[Mapping[str, Way]] = {
    "works": lambda clock, right, lie: right,
    "hangs": lambda clock, right, lie: deferLater(clock, HANG, lambda: right),
    "hangs and is deaf": lambda clock, right, lie: _deaf(),
    "is slow": lambda clock, right, lie: deferLater(clock, 2.0, lambda: right),
    "is too slow": lambda clock, right, lie: deferLater(clock, 7.0, lambda: right),
    "raises": lambda clock, right, lie: _raised(KeyError(SECRET)),
    "raises the unprintable": lambda clock, right, lie: _raised(_Unprintable()),
    "raises in a coroutine": lambda clock, right, lie: _raising(),
    "fails": lambda clock, right, lie: fail(ValueError(SECRET)),
    "fails later": lambda clock, right, lie: deferLater(clock, 2.0, _raised, ValueError(SECRET)),
    "is away": lambda clock, right, lie: _raised(Unavailable(SECRET, retry_after=77)),
    "is away, later": lambda clock, right, lie: deferLater(clock, 2.0, _raised, Unavailable(SECRET, 77)),
    "lies": lambda clock, right, lie: lie,
    "lies later": lambda clock, right, lie: deferLater(clock, 2.0, lambda: lie),
}
"""By name: what is answered, given a clock, the right answer and a lie."""

_YES: Final = Identity("bad-1", "example.com", frozenset(["sip:bad-1@example.com"]))
_TARGET: Final = Target("sip:bad-0@192.0.2.9")
_BINDING: Final = Binding("sip:x@192.0.2.9", 2e9, "x", 1, 0.0)


class _Str(str):
    """Equal to everything."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True


LIES: Final[Mapping[str, tuple[Any, ...]]] = {
    "secret": (
        42,
        True,
        b"zanzibar",
        [PASSWORD],
        _Str("x"),
        Secret(password=b"zanzibar"),  # type: ignore[arg-type]
        Secret(ha1=7),  # type: ignore[arg-type]
        _YES,
    ),
    "authenticate": (
        None,
        True,
        _YES,
        Admitted(),
        Accepted(None),  # type: ignore[arg-type]
        Accepted(Identity("bad-1", "example.com", "sip:bad-0@example.com")),  # type: ignore[arg-type]
        Accepted(Identity("bad-1", "example.com", None)),  # type: ignore[arg-type]
        Accepted(_YES, (("X", "y\r\nEvil: 1"),)),
        Rejected(200, "OK"),
        Rejected(99, "Low"),
        Rejected(603, "Decline"),
        Rejected("403", "Forbidden"),  # type: ignore[arg-type]
        Rejected(403, "No\r\nEvil: 1"),
        Rejected(403, "No", (("X", "y\nEvil: 1"),)),
        Challenge((), "nothing"),
        Challenge(("Digest x\r\nEvil: 1",), ""),
        Challenge(None, ""),  # type: ignore[arg-type]
    ),
    "lookup": (
        None,
        (),
        [_BINDING],
        {"bindings": ()},
        Snapshot(None, 0),  # type: ignore[arg-type]
        Snapshot(("sip:x@192.0.2.9",), 1),  # type: ignore[arg-type]
        Snapshot((_BINDING._replace(expires_at="soon"),), 1),  # type: ignore[arg-type]
    ),
    "replace": (None, 1, "yes", False),
    "admit": (
        None,
        True,
        "admitted",
        Admitted,
        Accepted(_YES),
        Terms(),
        Rejected(200, "OK"),
        Rejected(486, "x\r\ny: z"),
    ),
    "registration": (
        None,
        True,
        Admitted(),
        Terms,
        Accepted(_YES),
        Rejected(200, "OK"),
        Rejected(603, "Decline"),
        Terms(max_contacts="many"),  # type: ignore[arg-type]
        Terms(min_expires=None),  # type: ignore[arg-type]
        Terms(max_expires="long", default_expires="long"),  # type: ignore[arg-type]
    ),
    "route": (
        None,
        True,
        Admitted(),
        Routing,
        Accepted(_YES),
        Terms(),
        _TARGET,
        (_TARGET,),
        Rejected(200, "OK"),
        Rejected(99, "Low"),
        Rejected(403, "No\r\nEvil: 1"),
        Rejected(403, "No", (("X", "y\nEvil: 1"),)),
        Routing(None),  # type: ignore[arg-type]
        Routing([_TARGET]),  # type: ignore[arg-type]
        Routing(("sip:bad-0@192.0.2.9",)),  # type: ignore[arg-type]
        Routing((_TARGET._replace(uri="tel:112"),)),
        Routing((_TARGET._replace(uri="sip:bad-0@192.0.2.9\r\nEvil: 1"),)),
        Routing((_TARGET._replace(uri=None),)),  # type: ignore[arg-type]
        Routing((_TARGET._replace(q=0.5),)),  # type: ignore[arg-type]
        Routing((_TARGET._replace(flow=7),)),  # type: ignore[arg-type]
        Routing((_TARGET._replace(flow="TCP"),)),
        Routing((_TARGET._replace(path="<sip:192.0.2.9;lr>"),)),  # type: ignore[arg-type]
        Routing((_TARGET._replace(path=("<sip:192.0.2.9;lr>\r\nEvil: 1",)),)),
        Routing((_TARGET._replace(path=("<tel:112>",)),)),
        Routing((_TARGET,), record_route="no"),  # type: ignore[arg-type]
        Routing((_TARGET,), recurse=1),  # type: ignore[arg-type]
    ),
}
"""By method: what is no answer to it."""


class _Bad:
    def __init__(self, way: str, lie: int, surroundings: Surroundings) -> None:
        self.way = way
        self.lie = lie
        self.clock = surroundings.reactor
        self.asked = 0

    def answer(self, who: str, method: str, right: object) -> object:
        """What ``who`` gets, who is a user or an AOR."""
        if not who.removeprefix("sip:").startswith("bad"):
            return right
        self.asked += 1
        return WAYS[self.way](self.clock, right, LIES[method][self.lie])


@implementer(ICredentialSource)
class Source(_Bad):
    """Everybody's password is :data:`PASSWORD`."""

    def __init__(self, *, way: str, lie: int = 0, surroundings: Surroundings) -> None:
        super().__init__(way, lie, surroundings)

    def secret(self, username: str, realm: str, algorithm: str) -> object:
        return self.answer(username, "secret", Secret(password=PASSWORD))


@implementer(IAuthenticator)
class Authenticator(_Bad):
    """Accepts the bad, when it works, and has nothing to say about others."""

    def __init__(self, *, way: str, lie: int = 0, surroundings: Surroundings) -> None:
        super().__init__(way, lie, surroundings)

    def authenticate(self, request: Request, flow: IFlow) -> object:
        aor = request.to.uri_text
        name = aor.partition(":")[2].partition("@")[0]
        if not name.startswith("bad"):
            return Abstained()
        return self.answer(aor, "authenticate", Accepted(Identity(name, "example.com", frozenset([aor]))))


@implementer(ILocationStore)
class Store(_Bad):
    """Bindings in memory; ``method`` is the one that is bad."""

    def __init__(self, *, way: str, lie: int = 0, method: str = "lookup", surroundings: Surroundings) -> None:
        super().__init__(way, lie, surroundings)
        self.method = method
        self.memory = MemoryStore()

    def lookup(self, aor: str) -> object:
        right = self.memory.lookup(aor)
        return self.answer(aor, "lookup", right) if self.method == "lookup" else right

    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> object:
        if self.method == "replace" and aor.startswith("sip:bad") and self.way.startswith("lies"):
            return self.answer(aor, "replace", None)
        right = self.memory.replace(aor, bindings, version)
        return self.answer(aor, "replace", right) if self.method == "replace" else right

    def aors(self) -> Iterator[tuple[str, Snapshot]]:
        return self.memory.aors()

    def expire(self, now: float) -> int:
        return self.memory.expire(now)


@implementer(IPolicy)
class Policy(BasePolicy, _Bad):
    """Has nothing against anybody; ``method`` is the one that is bad."""

    def __init__(self, *, way: str, lie: int = 0, method: str = "admit", surroundings: Surroundings) -> None:
        _Bad.__init__(self, way, lie, surroundings)
        self.method = method

    def admit(self, request: Request, flow: IFlow) -> Any:
        right = Admitted()
        return self.answer(request.to.uri_text, "admit", right) if self.method == "admit" else right

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Any:
        return self.answer(aor, "registration", terms) if self.method == "registration" else terms

    def route(self, request: Request, identity: Identity | None, routing: Routing) -> Any:
        if self.method == "route":
            return self.answer(request.to.uri_text, "route", routing)
        return routing
