"""Plug-ins of every kind that hang, raise, are slow or lie, in the whole server and under load.

What holds for all: whoever needs nothing from them is served as if they were not there; who does is answered 503 with
Retry-After, or 500, and never gets in; and what is kept meanwhile is bounded by :class:`~sipframe.seams.PluginLimits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from sipframe.message import Response
from sipframe.plugging import Choice
from sipframe.seams import Guard, PluginLimits
from sipframe.testing import Exchange, Phone, Server
from tests.bad_plugins import LIES, PASSWORD, SECRET, Store
from tests.client import Client, authorization
from tests.process import PATIENCE, ServerProcess
from tests.tree import ROOT

LIMITS: Final = PluginLimits(deadline=5.0, in_flight=8, queue=16, failures=5, open_for=10.0)
GOOD: Final = {f"good-{i}": {"password": PASSWORD} for i in range(30)}
AT_HOME: Final = "198.19.0."
"""Where phones are that need no authenticator."""


class Kind(NamedTuple):
    """A method of a plug-in, and how the bad one is chosen among good ones."""

    method: str
    plug_in: str
    setting: str

    def server(self, way: str, lie: int = 0, **settings: Any) -> Server:
        """A server with the bad plug-in, behind one that good users do well with."""
        arguments: dict[str, object] = {"way": way, "lie": lie}
        if self.plug_in in ("Store", "Policy"):
            arguments["method"] = self.method
        chosen: Any = Choice(f"tests.bad_plugins.{self.plug_in}", arguments)
        ours = Choice("toml", {"users": {**GOOD, **({} if self.method == "secret" else BAD)}})
        plug_ins: dict[str, Any] = {"credentials": [ours], self.setting: chosen}
        if self.method == "secret":
            plug_ins["credentials"] = [ours, chosen]
        elif self.method == "authenticate":
            # Whoever is at home is believed, so the next one is not asked.
            plug_ins["authenticator"] = [f"trusted:networks={AT_HOME}0/24:udp=yes", chosen, "digest"]
        elif self.setting == "policies":
            plug_ins["policies"] = ["deny:user-agent=unwanted", chosen]
        return Server(plug_ins=LIMITS, **plug_ins, **settings)

    def guard(self, server: Server) -> Guard:
        """What stands around the bad method."""
        [guard] = [one for one in guards_of(server) if one.name == f"{self.plug_in}.{self.method}"]
        return guard

    def plug_in_of(self, server: Server) -> Any:
        """The bad plug-in itself."""
        return self.guard(server).plug_in


BAD: Final = {f"bad-{i}": {"password": PASSWORD} for i in range(200)}
KINDS: Final = (
    Kind("secret", "Source", "credentials"),
    Kind("authenticate", "Authenticator", "authenticator"),
    Kind("lookup", "Store", "location"),
    Kind("replace", "Store", "location"),
    Kind("admit", "Policy", "policies"),
    Kind("registration", "Policy", "policies"),
)

kinds = pytest.mark.parametrize("kind", KINDS, ids=[kind.method for kind in KINDS])


def guards_of(server: Server) -> tuple[Guard, ...]:
    running: Any = server.service._running
    guards: tuple[Guard, ...] = running.seam.guards()
    return guards


def registered(server: Server, kind: Kind, phone: Phone) -> bool:
    """Whether ``phone`` has a binding, whatever a bad store says."""
    bad = kind.guard(server).plug_in
    if isinstance(bad, Store):
        return bool(bad.memory.lookup(phone.aor).bindings)
    return bool(server.bindings(phone.aor))


def phones(server: Server, word: str, count: int) -> list[Phone]:
    """So many phones of users whose names begin with ``word``. Those of good users are at home."""
    return [
        server.phone(
            f"sip:{word}-{i}@example.com",
            password=PASSWORD,
            host=f"{AT_HOME}{i + 1}" if word == "good" else None,
        )
        for i in range(count)
    ]


def register_all(server: Server, those: Sequence[Phone]) -> list[Exchange]:
    """Have all of them register, and let everything happen that can without time passing."""
    exchanges = [phone.begin_register() for phone in those]
    server.settle()
    return exchanges


def statuses(exchanges: Sequence[Exchange]) -> list[int | None]:
    return [None if one.answer is None else one.answer.status for one in exchanges]


def retry_after(exchange: Exchange) -> list[str]:
    assert exchange.answer is not None
    return exchange.answer.all("retry-after")


def everything_said(server: Server) -> bytes:
    return b"".join([passage.data for passage in server.network.wire])


def nothing_is_left(server: Server) -> None:
    """Nothing is asked any more, and when transactions have had their time there are none."""
    assert [one.name for one in guards_of(server) if not one.idle] == []
    server.advance(70)
    assert server.service.transactions() == {}


class Outcome(NamedTuple):
    """What a way of misbehaving leads to, when, and what its Retry-After is."""

    status: int
    at: float = 0.0
    retry_after: str | None = None


OUTCOMES: Final = {
    "hangs": Outcome(503, 5.0, "5"),
    "hangs and is deaf": Outcome(503, 5.0, "5"),
    "is too slow": Outcome(503, 5.0, "5"),
    "is slow": Outcome(200, 2.0),
    "raises": Outcome(500),
    "raises the unprintable": Outcome(500),
    "raises in a coroutine": Outcome(500),
    "fails": Outcome(500),
    "fails later": Outcome(500, 2.0),
    "is away": Outcome(503, 0.0, "77"),
    "is away, later": Outcome(503, 2.0, "77"),
}


@kinds
@pytest.mark.parametrize("way", OUTCOMES)
def test_some_are_in_trouble_and_others_do_not_notice(kind: Kind, way: str) -> None:
    outcome = OUTCOMES[way]
    if (kind.method, way) == ("admit", "is slow"):
        outcome = Outcome(200, 4.0)  # it is asked about the challenge as well
    with kind.server(way) as server:
        bad, good = phones(server, "bad", 4), phones(server, "good", 8)
        troubled = register_all(server, bad)
        for second in range(8):
            assert statuses(troubled) == [outcome.status if outcome.at <= second else None] * 4
            assert statuses(register_all(server, good)) == [200] * 8
            server.advance(1.0)
        for exchange in troubled:
            assert retry_after(exchange) == ([] if outcome.retry_after is None else [outcome.retry_after])
        if kind.method != "replace":  # the change itself has come about
            assert [registered(server, kind, phone) for phone in bad] == [outcome.status == 200] * 4
        assert SECRET.encode() not in everything_said(server)
        nothing_is_left(server)


@kinds
def test_many_who_hang_at_once_shut_out_nobody_whom_it_answers(kind: Kind) -> None:
    with kind.server("hangs") as server:
        bad, good = phones(server, "bad", 7), phones(server, "good", 8)
        troubled = register_all(server, bad)
        for _ in range(14):
            assert statuses(register_all(server, good)) == [200] * 8
            server.advance(0.5)
        assert statuses(troubled) == [503] * 7
        nothing_is_left(server)


@kinds
@pytest.mark.parametrize("way", ["lies", "lies later"])
def test_a_lie_is_a_bug_and_never_a_pass(kind: Kind, way: str) -> None:
    with kind.server(way) as server:
        bad, good = phones(server, "bad", 1)[0], phones(server, "good", 1)[0]
        for lie in range(len(LIES[kind.method])):
            kind.plug_in_of(server).lie = lie
            troubled = bad.begin_register(expires=600)
            assert statuses(register_all(server, [good])) == [200]
            server.advance(20.0)  # a store that says False is asked some times more
            assert (lie, statuses([troubled])) == (lie, [500])
            assert not registered(server, kind, bad)
        assert not [event for event in server.events if event.name == "sipframe.plugin.opened"]
        assert b"Evil" not in everything_said(server)
        nothing_is_left(server)


def served_without(kind: Kind, server: Server, good: Phone, stranger: Phone) -> None:
    """What needs nothing of the bad plug-in is answered without any time passing."""
    began = server.now()
    if kind.method in ("secret", "authenticate"):
        assert good.register().status == 200
    if kind.method == "admit":
        # What a policy before it refuses never gets there.
        assert stranger.request("OPTIONS", fields=["User-Agent: unwanted"]).status == 403
    else:
        assert stranger.request("OPTIONS").status == 200
    if kind.method not in ("admit", "authenticate"):
        assert stranger.register(authenticate=False).status == 401
    assert server.now() == began


@kinds
@pytest.mark.parametrize("way", ["hangs", "hangs and is deaf", "is slow", "is away, later"])
def test_far_too_many_need_it(kind: Kind, way: str) -> None:
    """Eight are asked about and sixteen wait; the rest are told at once to come again. Later all is well again."""
    with kind.server(way) as server:
        guard, plug_in = kind.guard(server), kind.plug_in_of(server)
        [good], [stranger] = phones(server, "good", 1), phones(server, "stranger", 1)
        bad = phones(server, "bad", 100)
        troubled = register_all(server, bad)
        refused = [one for one in troubled if one.answer is not None]
        assert statuses(refused) == [503] * 76
        assert {*map(tuple, map(retry_after, refused))} == {("5",)}
        assert (plug_in.asked, guard.in_flight, guard.queued) == (8, 8, 16)
        for _ in range(40):
            served_without(kind, server, good, stranger)
            assert guard.in_flight <= 8
            assert guard.queued <= 16
            server.advance(0.5)
        assert all(exchange.done for exchange in troubled)
        waited = [one for one in troubled if one not in refused]
        late = [one for one in waited if one.answer is None or one.answer.status != 200]
        if way != "is slow":
            assert len(late) == 24
        elif kind.method != "admit":  # which is asked about each twice
            assert len(late) == 8  # at two seconds each the last ones are not done within five
        assert set(statuses(late)) == {503}
        assert all(retry_after(one) for one in late)
        plug_in.way = "works"
        server.advance(20.0)
        assert statuses(register_all(server, bad)) == [200] * 100
        nothing_is_left(server)


@kinds
def test_it_is_left_alone_when_it_answers_nobody(kind: Kind) -> None:
    with kind.server("hangs") as server:
        plug_in = kind.plug_in_of(server)
        bad = phones(server, "bad", 20)
        asked = register_all(server, bad[:5])
        server.advance(5.0)
        assert statuses(asked) == [503] * 5
        [opened] = [event for event in server.events if event.name == "sipframe.plugin.opened"]
        assert opened.fields["plugin"] == kind.guard(server).name
        server.advance(2.5)
        told = register_all(server, bad)
        assert (statuses(told), {*map(tuple, map(retry_after, told))}) == ([503] * 20, {("8",)})
        assert plug_in.asked == 5
        server.advance(8.0)
        # One tries, the others are told to come again.
        tries = register_all(server, bad)
        assert (plug_in.asked, statuses(tries).count(None)) == (6, 1)
        server.advance(5.0)
        assert statuses(tries) == [503] * 20
        plug_in.way = "works"
        server.advance(10.0)
        assert statuses(register_all(server, bad)) == [200] * 20
        assert [event.name for event in server.events if event.name.startswith("sipframe.plugin.")][-1] == (
            "sipframe.plugin.closed"
        )
        nothing_is_left(server)


def test_one_user_who_asks_again_and_again_is_one_look_up() -> None:
    [kind] = [one for one in KINDS if one.method == "secret"]
    with kind.server("hangs") as server:
        plug_in, guard = kind.plug_in_of(server), kind.guard(server)
        asked = register_all(server, [phones(server, "bad", 1)[0] for _ in range(100)])
        # One has asked, and as many share its answer as may wait; none of them has a place of their own.
        assert (plug_in.asked, guard.in_flight, guard.queued) == (1, 1, 0)
        assert statuses(asked).count(None) == 1 + LIMITS.queue
        server.advance(5.0)
        assert statuses(asked) == [503] * 100
        assert plug_in.asked == 1
        nothing_is_left(server)


def test_phones_that_hang_up_are_asked_about_no_longer() -> None:
    for kind in KINDS:
        with kind.server("hangs") as server:
            bad = [
                server.phone(f"sip:bad-{i}@example.com", password=PASSWORD, transport="tcp")
                for i in range(24)
            ]
            register_all(server, bad)
            guard = kind.guard(server)
            assert (guard.in_flight, guard.queued) == (8, 16)
            for phone in bad:
                assert phone.flow is not None
                phone.flow.close()
            server.settle()
            # A store that was handed a change goes on with it; it may have been done already.
            assert (guard.in_flight, guard.queued) == ((8, 16) if kind.method == "replace" else (0, 0))
            server.advance(5.0)
            nothing_is_left(server)


class TestProcess:
    """A process of its own, with sockets: some ask about users for whom the source hangs for a minute."""

    SOURCES = (
        "toml:path={}",
        "tests.bad_plugins.Source:way=hangs",
    )

    def server(self, state: Path, *options: str) -> ServerProcess:
        users = state.parent / "users.toml"
        users.write_text("".join([f'good-{i} = "{PASSWORD}"\n' for i in range(5)]))
        chosen = [part for text in self.SOURCES for part in ("--credentials", text.format(users))]
        return ServerProcess(
            state, *chosen, *options, listen=("udp:0:interface=127.0.0.1",), environ={"PYTHONPATH": str(ROOT)}
        )

    def ask(self, phone: Client, name: str) -> None:
        """Send a REGISTER with credentials, and do not wait for what comes of it."""
        challenge = phone.ask(phone.request("REGISTER", user=name, call_id=name))
        proof = authorization(challenge, "REGISTER", "sip:localhost", name, PASSWORD)
        fields = (proof, f"Contact: <sip:{name}@192.0.2.9>")
        phone.send(phone.request("REGISTER", *fields, user=name, call_id=name, cseq=2))

    def final(self, phone: Client) -> Response:
        while (response := phone.receive()).status < 200:
            pass
        return response

    def test_others_register_while_some_wait(self, tmp_path: Path) -> None:
        # Nobody who waits gets an answer before the server stops; everybody else is served before that.
        with ExitStack() as stack:
            options = ("--plugin-deadline", "600", "--stop-deadline", "0.1")
            server = stack.enter_context(self.server(tmp_path / "state", *options))
            waiting = [stack.enter_context(Client.of(server, "udp")) for _ in range(10)]
            for i, phone in enumerate(waiting):
                self.ask(phone, f"bad-{i}")
            with Client.of(server, "udp") as good:
                for i in range(20):
                    user = f"good-{i % 5}"
                    contact = f"Contact: <sip:{user}@192.0.2.9>"
                    answer = good.register(PASSWORD, contact, user=user, call_id=user, cseq=2 * i + 1)
                    assert answer.status == 200
            for phone in waiting:
                phone.socket.setblocking(False)
                with pytest.raises(BlockingIOError):
                    self.final(phone)
                phone.socket.settimeout(PATIENCE)
            server.end()
            for phone in waiting:
                answer = self.final(phone)
                assert (answer.status, answer.first("retry-after") is not None) == (503, True)

    def test_who_waits_is_answered_in_the_end(self, tmp_path: Path) -> None:
        with ExitStack() as stack:
            server = stack.enter_context(self.server(tmp_path / "state", "--plugin-deadline", "0.2"))
            waiting = [stack.enter_context(Client.of(server, "udp")) for _ in range(3)]
            for i, phone in enumerate(waiting):
                self.ask(phone, f"bad-{i}")
            for phone in waiting:
                answer = self.final(phone)
                assert (answer.status, answer.first("retry-after")) == (503, "5")
            server.wait_for("Source.secret is unavailable: no answer within 0.2 s", times=3)
