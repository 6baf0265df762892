"""Questions and answers: remembered for their time, shared, bounded; what counts in an answer and what does not."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.names import dns
from twisted.names.error import AuthoritativeDomainError, DomainError
from zope.interface import implementer

from sipframe.transport import ResolverSettings
from sipframe.transport.locating.cache import AnswerCache
from sipframe.transport.locating.hosts import HostsFile
from sipframe.transport.locating.names import Names
from sipframe.transport.locating.records import NAPTR, SRV, Answer, Kind, Question, canonical, read_answer
from tests.transport.name_servers import FakeNameServers, records_of


class World:
    def __init__(self, zone: str = "", **settings: Any) -> None:
        self.clock = Clock()
        self.servers = FakeNameServers(self.clock, zone)
        self.names = Names(self.clock, self.servers, HostsFile(None), ResolverSettings(**settings))

    def ask(self, name: str = "x.test", kind: Kind = "A") -> list[Answer]:
        """Where the answer will be."""
        found: list[Answer] = []
        _ = self.names.ask(Question(name, kind)).addCallback(found.append)
        return found

    def answer(self, name: str = "x.test", kind: Kind = "A") -> Answer:
        [answer] = self.ask(name, kind)
        return answer

    def asked_again_after(self, seconds: float, name: str = "x.test") -> bool:
        before = len(self.servers.asked)
        self.clock.advance(seconds)
        self.answer(name)
        return len(self.servers.asked) > before


ONE = "x.test 100 A 192.0.2.1"


@contextmanager
def logging() -> Iterator[list[LogEvent]]:
    logged: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        logged.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield logged
    finally:
        globalLogPublisher.removeObserver(observe)


class TestTime:
    @pytest.mark.parametrize(
        ("zone", "settings", "seconds"),
        [
            (ONE, {}, 100),
            (f"{ONE}\nx.test 50 A 192.0.2.2", {}, 50),  # RFC 2181 5.2: the least
            ("x.test 0 A 192.0.2.1", {}, 1),
            ("x.test 0 A 192.0.2.1", {"least_ttl": 7.0}, 7),
            ("x.test 999999 A 192.0.2.1", {}, 3_600),
            ("x.test 30 CNAME y.test\ny.test 100 A 192.0.2.1", {}, 30),
            ("x.test 300 CNAME y.test\ny.test 100 A 192.0.2.1", {}, 100),
        ],
    )
    def test_of_an_answer(self, zone: str, settings: dict[str, Any], seconds: float) -> None:
        world = World(zone, **settings)
        assert world.answer().records
        assert not world.asked_again_after(seconds - 0.5)
        assert world.asked_again_after(0.5)

    @pytest.mark.parametrize(
        ("zone", "soa", "seconds"),
        [
            ("", "", 60),
            ("", "test 300 SOA 20", 20),  # RFC 2308 5: the lesser of its TTL and its MINIMUM
            ("", "test 10 SOA 20", 10),
            ("", "test 9999 SOA 9999", 60),
            ("x.test AAAA 2001:db8::1", "test 300 SOA 20", 20),
        ],
    )
    def test_of_nothing(self, zone: str, soa: str, seconds: float) -> None:
        world = World(zone)
        world.servers.soa = soa
        assert world.answer() == Answer()
        assert not world.asked_again_after(seconds - 0.5)
        assert world.asked_again_after(0.5)

    def test_of_a_failure(self) -> None:
        # RFC 9520 3.2
        world = World(ONE)
        world.servers.broken.add("x.test")
        assert world.answer() == Answer(failure="the name servers cannot say")
        world.servers.broken.clear()
        assert not world.asked_again_after(4.5)
        assert world.asked_again_after(0.5)
        assert world.answer().records == ("192.0.2.1",)

    def test_nothing_is_left_on_the_clock(self) -> None:
        world = World(ONE)
        world.answer()
        assert world.clock.getDelayedCalls() == []


class TestSharing:
    def test_one_question_for_all(self) -> None:
        world = World(ONE)
        world.servers.delay = 1.0
        answers = [world.ask() for _ in range(5)]
        other = world.ask(kind="AAAA")
        assert world.servers.asked == ["A x.test", "AAAA x.test"]
        world.clock.advance(1)
        assert [one[0].records for one in answers] == [("192.0.2.1",)] * 5
        assert other == [Answer()]
        assert world.names.open == 0

    def test_a_failure_for_all(self) -> None:
        world = World(ONE)
        world.servers.silent.add("x.test")
        answers = [world.ask() for _ in range(3)]
        assert world.servers.open == 1
        world.clock.advance(1.5)
        assert answers == [[Answer(failure="the name servers do not answer")]] * 3
        assert world.servers.open == 0  # it was told that nobody waits any more

    def test_who_leaves_does_not_end_it(self) -> None:
        world = World(ONE)
        world.servers.delay = 1.0
        first = world.names.ask(Question("x.test", "A"))
        second = world.ask()
        _ = first.addErrback(lambda _: None)
        first.cancel()
        world.clock.advance(1)
        assert second[0].records == ("192.0.2.1",)

    def test_an_asker_that_asks_again(self) -> None:
        world = World(ONE)
        world.servers.delay = 1.0
        again: list[Answer] = []
        waiting = world.names.ask(Question("x.test", "A"))
        _ = waiting.addCallback(lambda _: world.names.ask(Question("x.test", "A"))).addCallback(again.append)
        world.clock.advance(1)
        assert again[0].records == ("192.0.2.1",)
        assert len(world.servers.asked) == 1


class TestBounds:
    def test_open_questions(self) -> None:
        world = World(most_questions=2)
        world.servers.silent.update(["a.test", "b.test", "c.test"])
        world.ask("a.test")
        world.ask("b.test")
        world.ask("a.test")
        assert world.answer("c.test").failure == "too many questions to name servers are open"
        world.clock.advance(1.5)
        assert world.ask("c.test") == []  # that was no answer to remember

    def test_what_is_remembered(self) -> None:
        world = World(cached=3)
        for number in range(10):
            world.answer(f"{number}.test")
        assert world.names.remembered == 3
        assert not world.asked_again_after(0, "9.test")
        assert world.asked_again_after(0, "1.test")

    def test_what_was_asked_for_last_is_kept(self) -> None:
        clock = Clock()
        cache = AnswerCache(2, clock.seconds)
        a, b, c = (Question(name, "A") for name in "abc")
        cache.put(a, Answer(), 10)
        cache.put(b, Answer(), 10)
        assert cache.get(a) is not None
        cache.put(c, Answer(), 10)
        assert (cache.get(a) is None, cache.get(b) is None, cache.get(c) is None) == (False, True, False)
        cache.put(a, Answer(), 0)
        assert cache.get(a) is None
        clock.advance(10)
        assert (cache.get(c), len(cache)) == (None, 0)

    def test_records(self) -> None:
        world = World("\n".join(f"x.test A 192.0.2.{n}" for n in range(1, 100)), most_records=5)
        assert len(world.answer().records) == 5


class TestAliases:
    CHAIN = "\n".join(f"{n}.test CNAME {n + 1}.test" for n in range(9)) + "\n9.test A 192.0.2.1"

    def test_in_one_answer(self) -> None:
        world = World(self.CHAIN)
        assert world.answer("0.test").records == ("192.0.2.1",)
        assert len(world.servers.asked) == 1

    def test_one_by_one(self) -> None:
        world = World(self.CHAIN)
        world.servers.aliases = False
        assert world.answer("5.test").records == ("192.0.2.1",)
        assert world.answer("4.test") == Answer()
        assert world.servers.asked == [f"A {n}.test" for n in (5, 6, 7, 8, 9, 4, 5, 6, 7, 8)]

    def test_the_time_of_all_of_them(self) -> None:
        world = World("x.test 30 CNAME y.test\ny.test 100 A 192.0.2.1")
        world.servers.aliases = False
        assert world.answer().records
        assert not world.asked_again_after(29.5)
        assert world.asked_again_after(0.5)

    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.parametrize("zone", ["x.test CNAME x.test", "x.test CNAME y.test\ny.test CNAME x.test"])
    def test_circles(self, zone: str, together: bool) -> None:
        world = World(zone)
        world.servers.aliases = together
        assert world.answer() == Answer()
        assert len(world.servers.asked) <= 2


class TestFailures:
    @pytest.mark.parametrize("error", [DomainError(b"x"), AuthoritativeDomainError(b"x")])
    def test_there_is_nothing(self, error: Exception) -> None:
        world = World()
        world.servers.raising = error
        assert world.answer() == Answer()

    @pytest.mark.parametrize(
        "error", [CannotListenError("", 0, OSError(24, "")), OSError(5, ""), ConnectError()]
    )
    def test_nobody_can_be_asked(self, error: Exception) -> None:
        world = World()
        world.servers.raising = error
        assert world.answer() == Answer(failure="the name servers cannot be asked")

    def test_a_mistake_is_told(self) -> None:
        with logging() as logged:
            world = World()
            world.servers.raising = ZeroDivisionError()
            assert world.answer() == Answer(failure="the name servers cannot be asked")
        [failure] = [one["log_failure"] for one in logged if "log_failure" in one]
        assert failure.check(ZeroDivisionError)

    def test_the_end(self) -> None:
        world = World(ONE)
        world.servers.silent.add("x.test")
        waiting = world.ask()
        world.names.close()
        assert waiting == [Answer(failure="the server is stopping")]
        assert (world.servers.open, world.clock.getDelayedCalls()) == (0, [])
        assert world.answer("y.test").failure == "the server is stopping"

    def test_no_failure_is_left_unheard(self) -> None:
        with logging() as logged:
            world = World(ONE)
            world.servers.silent.add("x.test")
            world.ask()
            world.names.close()
            del world
            gc.collect()
        assert logged == []


def answer_of(question: Question, text: str, most: int = 32) -> Any:
    headers = [dns.RRHeader(name, record.TYPE, dns.IN, ttl, record) for name, ttl, record in records_of(text)]
    return read_answer(question, headers, [], most)


class TestReading:
    def test_other_names_are_not_there(self) -> None:
        text = "bank.test A 192.0.2.66\nx.test A 192.0.2.1\ny.test CNAME bank.test"
        assert answer_of(Question("x.test", "A"), text).answer.records == ("192.0.2.1",)
        assert answer_of(Question("z.test", "A"), text) == (Answer(), None, "")

    def test_other_types_and_classes_are_not_there(self) -> None:
        header = dns.RRHeader("x.test", dns.A, dns.CH, 60, dns.Record_A("192.0.2.1"))
        assert read_answer(Question("x.test", "A"), [header], [], 9).answer == Answer()
        assert answer_of(Question("x.test", "AAAA"), ONE).answer == Answer()

    def test_names_have_no_case(self) -> None:
        header = dns.RRHeader("X.Test", dns.A, dns.IN, 60, dns.Record_A("192.0.2.1"))
        assert read_answer(Question("x.test", "A"), [header], [], 9).answer.records == ("192.0.2.1",)

    def test_values(self) -> None:
        assert answer_of(Question("x.test", "SRV"), "x.test SRV 1 2 3 Y.test.").answer.records == (
            SRV(1, 2, 3, "y.test"),
        )
        text = 'x.test NAPTR 1 2 "s" "Sip+d2u" "" Y.test.\nx.test NAPTR 3 4 "u" "E2U+sip" "!x!y!" .'
        assert answer_of(Question("x.test", "NAPTR"), text).answer.records == (
            NAPTR(1, 2, "S", "SIP+D2U", False, "y.test"),
            NAPTR(3, 4, "U", "E2U+SIP", True, ""),
        )

    def test_names_that_are_none(self) -> None:
        record = dns.Record_SRV(1, 2, 3, b"\xff\xfe.test")
        header = dns.RRHeader("x.test", dns.SRV, dns.IN, 60, record)
        other = dns.RRHeader(b"\xff", dns.SRV, dns.IN, 60, dns.Record_SRV(1, 2, 3, b"y"))
        assert read_answer(Question("x.test", "SRV"), [header, other], [], 9).answer == Answer()

    @pytest.mark.parametrize(
        ("name", "known"),
        [
            ("Example.COM.", "example.com"),
            (b"Example.COM.", "example.com"),
            ("", ""),
            (".", ""),
            ("_sip._udp.x", "_sip._udp.x"),
            ("a" * 63, "a" * 63),
            ("a" * 64, None),
            ("a..b", None),
            (".a", None),
            ("b\u00fccher.test", None),
            (b"b\xfccher.test", None),
            ("a b", "a b"),
            ("a\r\nb", None),
            (".".join(["a" * 49] * 5) + ".abc", ".".join(["a" * 49] * 5) + ".abc"),
            (".".join(["a" * 49] * 5) + ".abcde", None),
        ],
    )
    def test_canonical(self, name: str | bytes, known: str | None) -> None:
        assert canonical(name) == known


def test_a_name_that_is_too_long_is_not_asked_for() -> None:
    name = "_sip._udp." + ".".join(["a" * 61] * 4)
    world = World()
    assert (world.answer(name, "SRV"), world.servers.asked) == (Answer(), [])


def test_a_question_is_answered_at_once_when_it_can_be() -> None:
    world = World(ONE)
    assert world.names.known(Question("x.test", "A")) is None
    asked = world.names.ask(Question("x.test", "A"))
    assert isinstance(asked, Deferred)
    assert world.names.known(Question("x.test", "A")) == Answer(("192.0.2.1",))
