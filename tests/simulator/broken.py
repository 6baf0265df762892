"""Servers that are wrong on purpose, each in one way: whoever looks on must see it.

Rules: each takes a world whose servers have just been started for the first time, or patches a class for as long as the
``with`` lasts, and breaks one promise. None of them is wrong all the time: a bug that shows at once needs no simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from sipframe.auth import authenticator
from sipframe.location import memory, writer
from sipframe.proxy import core, fork
from sipframe.registrar import core as registrar
from sipframe.transaction import machine as on
from sipframe.transaction import server, timers
from sipframe.uas import core as uas
from sipframe.verdicts import Accepted, Identity, Snapshot

__all__ = ["BROKEN", "Broken"]


class Broken(NamedTuple):
    """A way of being wrong, and the rules that it may be found to break."""

    make: Callable[[], Any]
    """Gives a context: the servers are wrong within it."""
    rules: tuple[str, ...]
    seed: int = 1
    """A scenario that is likely to show it."""


@contextmanager
def _loses_a_commit() -> Iterator[None]:
    """Says that it is on the disk, and it is not."""
    commit, calls = writer.commit, count(1)

    def sometimes(*arguments: Any) -> Any:
        return None if next(calls) % 5 == 0 else commit(*arguments)

    with patch.object(writer, "commit", sometimes):
        yield


@contextmanager
def _answers_before_the_commit() -> Iterator[None]:
    """Sends the 200 while the change is on its way to the disk."""
    replaced = registrar.Registrar._looked_up

    def eager(self: Any, attempt: Any, snapshot: Any) -> None:
        replaced(self, attempt, snapshot)
        if attempt.handed_over and not attempt.transaction.answered:
            self._succeed(attempt)

    with patch.object(registrar.Registrar, "_looked_up", eager):
        yield


@contextmanager
def _answers_twice() -> Iterator[None]:
    """Thinks better of it, and says something else as well."""
    answer, calls = uas.UserAgentServer.answer, count(1)

    def twice(self: Any, transaction: Any, status: int, *arguments: Any, **more: Any) -> None:
        request = transaction.request
        answer(self, transaction, status, *arguments, **more)
        if status == 200 and transaction.method == "REGISTER" and next(calls) % 20 == 0:
            data = self._response(request, transaction.flow.peer, 500, "Oh", "")
            transaction.flow.respond(data, request.via)

    with patch.object(uas.UserAgentServer, "answer", twice):
        yield


@contextmanager
def _lets_anybody_in() -> Iterator[None]:
    """Believes who somebody is without a look at the password, now and then."""
    authenticate, calls = authenticator.DigestAuthenticator.authenticate, count(1)

    def generous(self: Any, request: Any, flow: Any) -> Any:
        if next(calls) % 10:
            return authenticate(self, request, flow)
        uri = request.from_.uri
        aor = f"sip:{uri.user}@{uri.host}"
        return Accepted(Identity(uri.user or "", uri.host, frozenset([aor])))

    with patch.object(authenticator.DigestAuthenticator, "authenticate", generous):
        yield


@contextmanager
def _forgets_a_timer() -> Iterator[None]:
    """Does not start timer J now and then: the transaction stays for ever."""
    start, calls = timers.TimerQueue.start, count(1)

    def forgetful(self: Any, owner: Any) -> None:
        if self.event == on.TIMER_J and next(calls) % 50 == 0:
            return
        start(self, owner)

    with patch.object(timers.TimerQueue, "start", forgetful):
        yield


@contextmanager
def _never_tires_of_ringing() -> Iterator[None]:
    """Has no timer C."""
    start = timers.TimerQueue.start

    def forgetful(self: Any, owner: Any) -> None:
        if self.event != "timer C":
            start(self, owner)

    with patch.object(timers.TimerQueue, "start", forgetful):
        yield


@contextmanager
def _drops_acks() -> Iterator[None]:
    """Passes on no ACK."""
    with patch.object(core.Proxy, "ack", lambda self, request, flow: None):
        yield


@contextmanager
def _keeps_what_has_ended() -> Iterator[None]:
    """Holds on to a fork now and then."""
    kept: list[object] = []
    begin, calls = fork.Fork.begin, count(1)

    def hoarding(self: Any, targets: Any) -> None:
        if next(calls) % 10 == 0:
            kept.append(self)
        begin(self, targets)

    with patch.object(fork.Fork, "begin", hoarding):
        yield
    kept.clear()


@contextmanager
def _lets_bindings_live_on() -> Iterator[None]:
    """Gives what has expired another hour when somebody looks it up."""
    lookup, forget = memory.MemoryStore.lookup, memory.MemoryStore.forget

    def generous(self: Any, aor: str) -> Snapshot:
        found = lookup(self, aor)
        longer = [one._replace(expires_at=one.expires_at + 3_600.0) for one in found.bindings]
        return found._replace(bindings=tuple(longer))

    with (
        patch.object(memory.MemoryStore, "lookup", generous),
        patch.object(memory.MemoryStore, "forget", lambda self, now: forget(self, now - 3_600.0)),
    ):
        yield


@contextmanager
def _never_answers() -> Iterator[None]:
    """Swallows a call now and then."""
    respond, calls = server.ServerTransaction.respond, count(1)

    def silent(self: Any, status: int, data: bytes) -> None:
        ours = self.flow.local.host.startswith("192.0.2.")
        if ours and self.method == "INVITE" and status >= 300 and next(calls) % 20 == 0:
            return
        respond(self, status, data)

    with patch.object(server.ServerTransaction, "respond", silent):
        yield


@contextmanager
def _stumbles() -> Iterator[None]:
    """Raises where nobody expects it."""
    bound, calls = registrar.Registrar.register, count(1)

    def stumbling(self: Any, transaction: Any) -> None:
        if next(calls) % 30 == 0:
            raise AttributeError("None has no aor")
        bound(self, transaction)

    with patch.object(registrar.Registrar, "register", stumbling):
        yield


BROKEN: Final = {
    "loses a commit": Broken(_loses_a_commit, ("registration lost",), 9),
    "answers before the commit": Broken(
        _answers_before_the_commit, ("registration lost", "two final answers"), 13
    ),
    "answers twice": Broken(_answers_twice, ("two final answers",)),
    "lets anybody in": Broken(_lets_anybody_in, ("somebody was let in", "two final answers")),
    "forgets a timer": Broken(_forgets_a_timer, ("a transaction without an end", "memory does not return")),
    "never tires of ringing": Broken(
        _never_tires_of_ringing, ("a phone rings on", "INVITE without an end", "a transaction without an end")
    ),
    "drops ACKs": Broken(_drops_acks, ("2xx without ACK",), 2),
    "keeps what has ended": Broken(_keeps_what_has_ended, ("memory does not return",)),
    "lets bindings live on": Broken(_lets_bindings_live_on, ("binding outlives its expiry",), 2),
    "never answers": Broken(_never_answers, ("INVITE without an end", "a transaction without an end")),
    "stumbles": Broken(_stumbles, ("an exception in the log",)),
}
"""By name."""
