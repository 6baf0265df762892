from __future__ import annotations

import pytest

from sipframe.cli import parties
from sipframe.cli.parties import IDLE, Parties, host_and_port
from sipframe.message import parse_message
from sipframe.tracing import Traced
from sipframe.verdicts import Address

SERVER = Address("192.0.2.1", 5060)
ALICE, BOB, BOB_2, EVE = (Address(f"192.0.2.{number}", 5060) for number in (10, 20, 21, 66))


class Traffic:
    """Messages that a server gets and sends, and who stands where by then."""

    def __init__(self, most: int | None = None) -> None:
        self.parties = Parties(most)
        self.at = 0.0

    def passes(
        self, start: str, peer: Address, sent: bool, call: str = "1", from_: str = "alice", to: str = "bob"
    ) -> bool:
        octets = (
            f"{start}\r\nCall-ID: {call}\r\nFrom: <sip:{from_}@b>;tag=1\r\nTo: <sip:{to}@b>\r\n\r\n".encode()
        )
        return self.parties.take(Traced(self.at, sent, "UDP", SERVER, peer, octets), parse_message(octets))

    def asks(self, peer: Address, **fields: str) -> bool:
        return self.passes("INVITE sip:bob@b SIP/2.0", peer, False, **fields)

    def is_asked(self, peer: Address, **fields: str) -> bool:
        return self.passes("INVITE sip:bob@b SIP/2.0", peer, True, **fields)

    @property
    def lanes(self) -> list[str]:
        return [one.name for one in self.parties.participants()]


def test_a_call_goes_from_left_to_right() -> None:
    it = Traffic()
    assert it.asks(ALICE)
    assert it.is_asked(BOB)
    assert not it.passes("SIP/2.0 200 OK", BOB, False)
    assert not it.passes("SIP/2.0 200 OK", ALICE, True)
    assert it.is_asked(BOB_2, to="bob")
    assert it.lanes == ["alice", "server", "bob", "bob"]
    assert it.parties.participants()[0].detail == "192.0.2.10:5060 UDP"
    assert it.parties.participants()[1].detail == "192.0.2.1:5060"
    assert it.parties.place_of(BOB_2) == (1, 3)
    # The caller stays where it is when it is asked in its turn.
    assert not it.is_asked(ALICE, from_="bob", to="alice")


@pytest.mark.parametrize(
    ("start", "sent", "lanes"),
    [
        ("SIP/2.0 200 OK", True, ["alice", "server"]),
        ("SIP/2.0 200 OK", False, ["server", "bob"]),
        ("BYE sip:b SIP/2.0", True, ["server", "bob"]),
        ("BYE sip:b SIP/2.0", False, ["alice", "server"]),
    ],
)
def test_a_trace_that_begins_in_the_middle(start: str, sent: bool, lanes: list[str]) -> None:
    it = Traffic()
    it.passes(start, ALICE, sent)
    assert it.lanes == lanes


def test_whoever_registered_and_is_called_moves_to_the_right_once() -> None:
    it = Traffic()
    it.asks(BOB, call="registration", from_="bob")
    it.asks(ALICE, call="2")
    assert it.lanes == ["alice", "bob", "server"]
    assert it.is_asked(BOB, call="2")
    assert it.lanes == ["alice", "server", "bob"]
    assert not it.asks(BOB, call="registration", from_="bob")


def test_no_more_than_have_room() -> None:
    it = Traffic(2)
    for peer, user in ((ALICE, "alice"), (BOB, "bob"), (ALICE, "alice"), (EVE, "eve")):
        it.asks(peer, call=user, from_=user)
    assert it.lanes == ["eve", "alice", "server"]
    it.parties.most = 0  # there is always room for one
    it.asks(BOB, call="bob", from_="bob")
    assert it.lanes == ["bob", "server"]


def test_who_is_idle_makes_room_for_another_call_only() -> None:
    it = Traffic(5)
    it.asks(EVE, call="2", from_="eve")
    it.asks(ALICE)
    it.at = IDLE + 1
    it.is_asked(BOB)
    assert it.lanes == ["alice", "server", "bob"]


def test_somebody_without_a_name_gets_one_later() -> None:
    it = Traffic()
    nobody = Traced(0.0, False, "TCP", SERVER, ALICE, b"")
    assert it.parties.take(nobody, None)
    assert it.lanes == ["", "server"]
    malformed = parse_message(b"OPTIONS sip:b SIP/2.0\r\nFrom: <\r\n\r\n")
    assert not it.parties.take(nobody, malformed)
    assert it.asks(ALICE)
    assert it.lanes == ["alice", "server"]
    assert not it.asks(ALICE, from_="eve")


def test_a_name_may_be_a_host_or_another_uri() -> None:
    it = Traffic()
    for peer, uri, expected in ((ALICE, "sip:example.com", "example.com"), (BOB, "tel:+1", "tel:+1")):
        message = parse_message(f"OPTIONS sip:b SIP/2.0\r\nFrom: <{uri}>;tag=1\r\n\r\n".encode())
        it.parties.take(Traced(0.0, False, "UDP", SERVER, peer, b""), message)
        assert expected in it.lanes


def test_calls_are_forgotten_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parties, "MOST_CALLS", 1)
    it = Traffic()
    it.asks(ALICE)
    it.asks(EVE, call="2", from_="eve")
    # It was alice's call; whoever is asked now is called.
    it.is_asked(ALICE, to="alice")
    assert it.lanes == ["eve", "server", "alice"]


def test_addresses() -> None:
    assert host_and_port(Address("2001:db8::7", 1)) == "[2001:db8::7]:1"
    assert host_and_port(Address("", 1)) == "*:1"
