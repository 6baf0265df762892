"""Plug-ins that hang, raise or lie over requests that are to be forwarded: 503 or 500, and nothing goes through.

Users send a MESSAGE to themselves: who is bad needs the bad plug-in, everybody else is served as if it were not there.
"""

from __future__ import annotations

from typing import Final

import pytest

from sipframe.testing import Exchange, Phone, Server
from tests.bad_plugins import LIES, SECRET
from tests.proxy.whole import sent_to
from tests.test_bad_plugins import (
    KINDS,
    OUTCOMES,
    Kind,
    Outcome,
    everything_said,
    nothing_is_left,
    phones,
    retry_after,
    statuses,
)

ASKED: Final = (
    *(kind for kind in KINDS if kind.method in ("secret", "authenticate", "lookup", "admit")),
    Kind("route", "Policy", "policies"),
)
kinds = pytest.mark.parametrize("kind", ASKED, ids=[kind.method for kind in ASKED])


def registered(server: Server, kind: Kind, bad: int, good: int) -> tuple[list[Phone], list[Phone]]:
    """Phones that have registered while everything worked."""
    made = phones(server, "bad", bad), phones(server, "good", good)
    plug_in = kind.plug_in_of(server)
    way, plug_in.way = plug_in.way, "works"
    for phone in (*made[0], *made[1]):
        assert phone.register().status == 200
    plug_in.way, plug_in.asked = way, 0
    return made


def begin(those: list[Phone]) -> list[Exchange]:
    return [phone.begin("MESSAGE", phone.aor) for phone in those]


def served(server: Server, *those: list[Phone]) -> None:
    """Whatever has got to a phone, or does at once, is answered by it."""
    server.settle()
    for phone in [one for some in those for one in some]:
        while phone.requests:
            phone.next_request("MESSAGE").answer(200)
    server.settle()


@kinds
@pytest.mark.parametrize("way", OUTCOMES)
def test_who_needs_it_is_told_and_others_do_not_notice(kind: Kind, way: str) -> None:
    outcome = OUTCOMES[way]
    if (kind.method, way) == ("admit", "is slow"):
        outcome = Outcome(200, 4.0)  # it is asked about the challenge as well
    with kind.server(way) as server:
        bad, good = registered(server, kind, 2, 3)
        troubled = begin(bad)
        for second in range(8):
            others = begin(good)
            served(server, good, bad)
            assert statuses(others) == [200] * 3
            assert statuses(troubled) == [outcome.status if outcome.at <= second else None] * 2
            server.advance(1.0)
        for exchange in troubled:
            assert retry_after(exchange) == ([] if outcome.retry_after is None else [outcome.retry_after])
        assert [len(sent_to(phone, "MESSAGE")) for phone in bad] == [int(outcome.status == 200)] * 2
        assert SECRET.encode() not in everything_said(server)
        nothing_is_left(server)


HARMLESS: Final = {
    # The proof is right; what it has for the answer is for a registrar, and goes nowhere.
    ("authenticate", 7): 403,
    # Whoever is called may decline, and so may whoever decides for them.
    ("authenticate", 10): 603,
}
"""Lies that do no harm here, and what becomes of them."""


@kinds
@pytest.mark.parametrize("way", ["lies", "lies later"])
def test_a_lie_is_a_bug_and_never_a_pass(kind: Kind, way: str) -> None:
    with kind.server(way) as server:
        [bad], [good] = registered(server, kind, 1, 1)
        for lie in range(len(LIES[kind.method])):
            kind.plug_in_of(server).lie = lie
            troubled, others = begin([bad]), begin([good])
            served(server, [good])
            assert statuses(others) == [200]
            server.advance(5.0)
            assert (lie, statuses(troubled)) == (lie, [HARMLESS.get((kind.method, lie), 500)])
        assert sent_to(bad, "MESSAGE") == []
        assert b"Evil" not in everything_said(server)
        nothing_is_left(server)


@kinds
def test_far_too_many_need_it(kind: Kind) -> None:
    """Eight are asked about and sixteen wait; the rest are told at once to come again. Later all is well again."""
    with kind.server("hangs") as server:
        bad, [good] = registered(server, kind, 40, 1)
        guard, plug_in = kind.guard(server), kind.plug_in_of(server)
        troubled = begin(bad)
        server.settle()
        refused = [one for one in troubled if one.answer is not None]
        assert statuses(refused) == [503] * 16
        assert (plug_in.asked, guard.in_flight, guard.queued) == (8, 8, 16)
        others = begin([good])
        served(server, [good])
        # Whoever does not need it is served; else there is no place any more.
        assert statuses(others) == [200 if kind.method in ("secret", "authenticate") else 503]
        server.advance(20.0)
        assert statuses(troubled) == [503] * 40
        assert all(retry_after(one) for one in troubled)
        plug_in.way = "works"
        later = begin(bad)
        served(server, bad)
        assert statuses(later) == [200] * 40
        nothing_is_left(server)


@kinds
def test_whoever_hangs_up_is_asked_about_no_longer(kind: Kind) -> None:
    with kind.server("hangs") as server:
        [bad], _ = registered(server, kind, 1, 0)
        call = bad.call(bad.aor)
        server.settle()
        guard = kind.guard(server)
        assert guard.in_flight == 1
        call.cancel()
        server.advance(1.0)
        assert call.wait(0.0).status == 487
        assert guard.in_flight == 0
        nothing_is_left(server)
