"""What a forwarded request took is free when its transactions have ended: no cycle waits for the collector of them.

The collector looks for cycles among all that lives: with the calls of a minute in memory that takes half a second, and
nobody is answered meanwhile.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sipframe.proxy.context import ResponseContext
from sipframe.proxy.core import Proxied
from sipframe.proxy.fork import Branch, Fork
from sipframe.sending import Sending
from sipframe.testing import Phone, Server
from tests.proxy.whole import BOB, answered, asked, registered, serving

KINDS = (Proxied, Fork, Branch, ResponseContext, Sending)


@contextmanager
def nothing_left(server: Server) -> Iterator[None]:
    """Nothing of a proxied request is alive after the timers, with the collector at rest."""
    gc.collect()
    gc.disable()
    try:
        yield
        assert alive(), "nothing was proxied, or all of it has gone before its time"
        server.advance(400)
        assert alive() == []
    finally:
        gc.enable()


def alive() -> list[str]:
    return [type(one).__name__ for one in gc.get_objects() if isinstance(one, KINDS)]


def call_answered(alice: Phone, desk: Phone, mobile: Phone) -> None:
    call = alice.call(BOB)
    asked(mobile).ring()
    _ = answered(call, desk)
    assert call.bye().status == 200


def call_refused(alice: Phone, desk: Phone, mobile: Phone) -> None:
    call = alice.call(BOB)
    for phone in (desk, mobile):
        asked(phone).answer(486)
    assert call.wait(0).status == 486


def call_cancelled(alice: Phone, desk: Phone, mobile: Phone) -> None:
    call = alice.call(BOB)
    for phone in (desk, mobile):
        asked(phone).ring()
    _ = call.wait_for(180, 0)
    call.cancel()
    assert call.wait(0).status == 487


def call_not_answered(alice: Phone, desk: Phone, mobile: Phone) -> None:
    assert alice.call(BOB).wait().status == 487  # timer C


def message_not_answered(alice: Phone, desk: Phone, mobile: Phone) -> None:
    exchange = alice.begin("MESSAGE", BOB)
    alice.pass_time(lambda: exchange.done, 10)


@pytest.mark.parametrize(
    "what", [call_answered, call_refused, call_cancelled, call_not_answered, message_not_answered]
)
def test_no_cycles(what: Callable[[Phone, Phone, Phone], None]) -> None:
    with serving() as server:
        (alice,) = registered(server, "alice")
        desk, mobile = registered(server, "bob")[0], registered(server, "bob", transport="tcp")[0]
        with nothing_left(server):
            what(alice, desk, mobile)
