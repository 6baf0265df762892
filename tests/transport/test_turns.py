"""Connections that send more than can be answered at once: whose turn is next, on wires in memory."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest
from twisted.internet.address import IPv4Address

from sipframe.transport import StreamFactory, StreamProtocol
from sipframe.transport.turns import HANDSHAKES_AT_ONCE, KEEPALIVES_FOR_ONE, MESSAGES_AT_ONCE, STRANGERS
from tests.transport.recording import OPTIONS, RecordingSink, Wire, ground_for

MANY = 100
BROKEN = OPTIONS.replace(b"CSeq: 1", b"CSeq: one")


class Server:
    """Several connections on one ground."""

    def __init__(self) -> None:
        self.sink = RecordingSink()
        self.ground, self.clock = ground_for(self.sink)
        self.factory = StreamFactory(self.ground)
        self.wires: list[Wire] = []

    def connect(self, known: bool = False) -> StreamProtocol:
        peer = IPv4Address("TCP", f"192.0.2.{len(self.wires) + 1}", 40_000)
        made = cast(StreamProtocol, self.factory.buildProtocol(peer))
        wire = Wire(peer)
        self.wires.append(wire)
        made.makeConnection(wire)
        if known:
            made.flow.prove()
        return made

    def turn(self) -> None:
        """One turn of the reactor: a Clock would have them all at once."""
        turns = self.ground.turns
        if turns._call is not None:
            turns._call.cancel()
            turns._go_on()

    def turn_handshakes(self) -> None:
        turns = self.ground.turns
        if turns._rest is not None:
            turns._rest.cancel()
            turns._shake()

    @property
    def waiting(self) -> bool:
        return self.ground.turns.waiting

    def answered(self) -> Counter[str]:
        """How many messages of each peer have been taken."""
        return Counter(flow.peer.host for name, _, flow in self.sink.calls if name != "flow_lost")


@pytest.mark.parametrize("message", [OPTIONS, BROKEN], ids=["sound", "malformed"])
def test_one_connection_has_a_few_messages_in_a_turn_and_all_in_the_end(message: bytes) -> None:
    it = Server()
    one = it.connect()
    one.dataReceived(message * MANY + message[:40])
    assert it.answered() == {"192.0.2.1": MESSAGES_AT_ONCE}
    assert it.wires[0].reading is False
    for _ in range(MANY - MESSAGES_AT_ONCE):
        it.turn()
    assert it.answered() == {"192.0.2.1": MANY}
    it.turn()
    assert [wire.reading for wire in it.wires] == [True]
    one.dataReceived(message[40:])
    assert it.answered() == {"192.0.2.1": MANY + 1}
    assert not it.waiting


def test_who_has_registered_does_not_wait_for_strangers() -> None:
    it = Server()
    floods = [it.connect() for _ in range(50)]
    phone = it.connect(known=True)
    for flood in floods:
        flood.dataReceived(OPTIONS * MANY)
    # The first of them has shown that there is too much to do: the others wait from the start.
    assert it.answered() == {"192.0.2.1": MESSAGES_AT_ONCE}
    phone.dataReceived(OPTIONS)
    assert it.answered()["192.0.2.51"] == 1
    before = it.answered().total()
    it.turn()
    assert it.answered().total() - before == STRANGERS
    for _ in range(20):
        it.turn()
    counts = sorted(it.answered()[f"192.0.2.{number}"] for number in range(2, 51))
    assert counts[-1] - counts[0] <= 1
    phone.dataReceived(OPTIONS * MANY)
    assert it.answered()["192.0.2.51"] == 1 + MESSAGES_AT_ONCE
    it.turn()
    assert it.answered()["192.0.2.51"] == 1 + 2 * MESSAGES_AT_ONCE


def test_keepalives_without_end_have_turns_as_well() -> None:
    it = Server()
    one = it.connect()
    one.dataReceived(b"\r\n\r\n" * 10_000)
    at_once = KEEPALIVES_FOR_ONE * MESSAGES_AT_ONCE // 2
    assert it.ground.counters.keepalives == at_once
    while it.waiting:
        it.turn()
    assert it.ground.counters.keepalives == 10_000
    assert it.wires[0].value() == b"\r\n" * 10_000


def test_a_connection_that_ends_while_it_waits() -> None:
    it = Server()
    lost, closed, refused = it.connect(), it.connect(), it.connect()
    for one in (lost, closed, refused):
        one.dataReceived(OPTIONS * MANY)
    lost.connectionLost()
    closed.close()
    assert it.wires[1].reading  # or nobody would hear that the peer closes, too
    refused.dataReceived(b"\r\n" + b"x" * 70_000 + b"\r\n\r\n")
    while it.waiting:
        it.turn()
    assert it.answered()["192.0.2.1"] == MESSAGES_AT_ONCE
    assert it.answered()["192.0.2.2"] == 0
    assert it.answered()["192.0.2.3"] == MANY + 1  # the last one is malformed
    assert it.wires[2].state == "half closed"
    assert it.wires[2].reading


class Shaking:
    def __init__(self) -> None:
        self.steps = 0

    def go_on(self) -> None:
        self.steps += 1


def test_handshakes_have_turns() -> None:
    it = Server()
    turns = it.ground.turns
    many = [Shaking() for _ in range(3 * HANDSHAKES_AT_ONCE)]
    assert [turns.may_shake(one) for one in many] == [
        number < HANDSHAKES_AT_ONCE for number in range(len(many))
    ]
    it.turn_handshakes()
    assert sum(one.steps for one in many) == HANDSHAKES_AT_ONCE
    assert not turns.may_shake(Shaking())  # those that wait are first
    for _ in range(3):
        it.turn_handshakes()
    assert [one.steps for one in many] == [0] * HANDSHAKES_AT_ONCE + [1] * 2 * HANDSHAKES_AT_ONCE
    assert turns.may_shake(Shaking())
