"""The model that registrations are compared with: what it holds a server to, and what it lets pass."""

from __future__ import annotations

from sipframe.message import Request, Response, parse_message
from sipframe.verdicts import Binding
from tests.simulator.promises import Promises, WallClock

AOR = "sip:alice@example.com"
CONTACT = "sip:alice@192.0.2.7"


class Told:
    """A server that is looked at, and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ahead = 1_000.0
        self.broken: list[str] = []
        wall = WallClock(lambda: self.now + self.ahead, lambda: self.now)
        self.promises = Promises(
            wall, lambda: self.now, 3_600, 7_200, lambda rule, text: self.broken.append(rule)
        )

    def asks(self, cseq: int, expires: int, contact: str = CONTACT, call_id: str = "1") -> None:
        request = self._message(f"REGISTER {AOR} SIP/2.0", cseq, expires, contact, call_id)
        assert isinstance(request, Request)
        self.promises.asked(request)

    def answers(self, cseq: int, expires: int, contact: str = CONTACT, call_id: str = "1") -> None:
        response = self._message("SIP/2.0 200 OK", cseq, expires, contact, call_id)
        assert isinstance(response, Response)
        self.promises.answered(response)

    def registers(self, cseq: int, expires: int) -> None:
        self.asks(cseq, expires)
        self.answers(cseq, expires)

    def has(self, *expires_at: float) -> list[str]:
        """What is broken when the store has the contact until then, or not at all."""
        self.promises.check(AOR, [Binding(CONTACT, one, "1", 1, 0.0) for one in expires_at])
        found, self.broken = self.broken, []
        return found

    def _message(self, start: str, cseq: int, expires: int, contact: str, call_id: str) -> Request | Response:
        lines = [
            start,
            "Via: SIP/2.0/UDP x;branch=z9hG4bK1",
            f"From: <{AOR}>;tag=1",
            f"To: <{AOR}>",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} REGISTER",
            *([f"Contact: <{contact}>;expires={expires}"] if contact else []),
        ]
        return parse_message("\r\n".join([*lines, "", ""]).encode())


def test_what_was_promised_must_be_there_until_its_time_is_over() -> None:
    told = Told()
    told.registers(1, 600)
    assert told.has(1_600.0) == []
    assert told.has() == ["registration lost"]
    assert told.has(1_500.0) == ["registration lost"]
    told.now = 601.0
    assert told.has() == []


def test_a_removal_ends_the_promise_when_it_is_asked_for() -> None:
    told = Told()
    told.registers(1, 600)
    told.asks(2, 0)
    assert told.has() == told.has(1_600.0) == []
    told.answers(1, 600)
    assert told.has() == []


def test_a_removal_that_came_later_than_its_successor_is_refused() -> None:
    told = Told()
    told.registers(1, 600)
    told.asks(2, 0)
    told.registers(3, 600)
    assert told.has() == ["registration lost"]


def test_somebody_elses_removal_may_come_about_at_any_time_while_it_is_under_way() -> None:
    told = Told()
    told.asks(9, 0, call_id="2")
    told.registers(1, 600)
    assert told.has() == []
    told.now = 100.0
    told.registers(2, 600)
    assert told.has() == ["registration lost"]


def test_a_shorter_interval_may_have_come_about_unheard_of() -> None:
    told = Told()
    told.registers(1, 600)
    told.asks(2, 60)
    assert told.has(1_060.0) == []
    assert told.has(1_050.0) == ["registration lost"]


def test_a_clock_that_is_set_back_moves_what_is_under_way() -> None:
    told = Told()
    told.registers(1, 600)
    told.asks(2, 600)
    told.ahead -= 100.0
    told.promises.clock_was_set()
    assert told.has(1_500.0) == []


def test_a_crash_forgets_what_is_in_memory() -> None:
    told = Told()
    told.registers(1, 600)
    told.promises.forget()
    assert told.has() == []


def test_what_has_expired_is_not_listed() -> None:
    told = Told()
    told.registers(1, 600)
    told.now = 700.0
    told.asks(2, 600, "")
    told.answers(2, 600)
    assert told.broken == ["binding outlives its expiry"]


def test_what_nobody_has_registered_is_not_listed() -> None:
    told = Told()
    told.asks(1, 600, "")
    told.answers(1, 600)
    assert told.broken == ["binding out of nowhere"]


def test_what_was_promised_is_listed() -> None:
    told = Told()
    told.registers(1, 600)
    told.now = 50.0
    told.asks(2, 600, "sip:other@192.0.2.8")
    told.answers(2, 600, "sip:other@192.0.2.8")
    assert told.broken == ["registration lost"]
