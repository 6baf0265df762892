"""A wall clock that is set back or forward while a server runs: phones are served, timers go on, the log says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from sipframe.message import Request, parse_message
from sipframe.process import WallClockWatch, go_steadily
from tests.client import Client, contacts
from tests.faults.child import WallClock
from tests.process import ServerProcess, add_user

UDP = ("udp:0:interface=127.0.0.1",)
HOUR = 3600.0


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    found: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def next_request(client: Client) -> Request:
    while True:
        message = parse_message(client.socket.recv(65_535))
        if isinstance(message, Request):
            return message


@pytest.mark.parametrize("step", [-HOUR, HOUR / 2, 3 * HOUR])
def test_phones_are_served_whatever_the_wall_clock_says(step: float, tmp_path: Path) -> None:
    state, clock = tmp_path / "state", WallClock(tmp_path)
    add_user(state, "bob@localhost", "zanzibar")
    with (
        ServerProcess(state, listen=UDP, environ=clock.environ) as server,
        Client.of(server, "udp") as bob,
        Client.of(server, "udp") as caller,
    ):
        contact = f"Contact: <sip:bob@127.0.0.1:{bob.port}>;expires=3600"
        assert bob.register("zanzibar", contact, call_id="bob").status == 200
        clock.set(step)
        server.wait_for(f"the wall clock was set {'forward' if step > 0 else 'back'} by {abs(step):.0f} s")
        fetched = bob.register("zanzibar", call_id="fetch")
        assert fetched.status == 200
        # A binding ends by the wall clock, as it must when the server may be started anew meanwhile.
        assert len(contacts(fetched)) == (0 if step > HOUR else 1)
        refreshed = bob.register("zanzibar", contact, call_id="bob", cseq=3)
        assert (refreshed.status, len(contacts(refreshed))) == (200, 1)
        # Timers go on: the phone is silent, and hears the same again.
        invite = caller.request("MESSAGE", user="bob", call_id="call")
        invite = invite.replace(b"sip:localhost SIP", b"sip:bob@localhost SIP", 1)
        invite = invite.replace(b"From: <sip:bob@localhost>", b"From: <sip:somebody@example.org>")
        caller.send(invite)
        first, again = next_request(bob), next_request(bob)
        assert first.method == again.method == "MESSAGE"
        assert first.to_bytes() == again.to_bytes()
    with ServerProcess(state, listen=UDP, environ=clock.environ) as server, Client.of(server, "udp") as bob:
        assert len(contacts(bob.register("zanzibar", call_id="later"))) == 1
    assert "Traceback" not in server.log


def test_timers_of_a_reactor_that_goes_steadily(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = [1_000_000.0]
    monkeypatch.setattr(SelectReactor, "seconds", staticmethod(lambda: wall[0]))
    reactor = SelectReactor()
    try:
        before = reactor.callLater(60, lambda: None)
        go_steadily(reactor)
        now = reactor.seconds()
        assert 0 <= now - wall[0] < 60
        assert before.getTime() == wall[0] + 60
        wall[0] -= HOUR
        go_steadily(reactor)
        assert now <= reactor.seconds() < now + 60
    finally:
        reactor.removeAll()
        reactor.waker.connectionLost(None)


def test_a_clock_of_a_test_is_left_alone() -> None:
    clock = Clock()
    go_steadily(clock)
    assert clock.seconds() == 0


def test_who_watches_the_clock_says_each_step_once(said: list[str]) -> None:
    clock, set_by = Clock(), [0.0]
    watch = WallClockWatch(clock, lambda: 1e9 + clock.seconds() + set_by[0])
    watch.start()
    clock.pump([5.0] * 3)
    assert said == []
    set_by[0] = 1.0  # what is slewed is no step
    clock.advance(5.0)
    assert said == []
    set_by[0] = -99.0
    clock.pump([5.0] * 3)
    set_by[0] = 0.0
    clock.pump([5.0] * 3)
    watch.stop()
    assert not clock.getDelayedCalls()
    assert [text.partition(":")[0] for text in said] == [
        "the wall clock was set back by 100 s",
        "the wall clock was set forward by 99 s",
    ]
