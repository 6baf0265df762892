"""A day of refreshes: a thousand phones, on a clock that does not make anybody wait."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from sipframe.testing import Phone, Server
from sipframe.transport import ListenAddress

PHONES = 1_000
HOURS = 24
EXPIRES = 3_600
FLOOR = 20
"""Phones that have been switched on together, as those on one floor of a house are."""
BEFORE_THE_END = 5.0
"""Seconds before a registration ends, a phone refreshes it: as PJSIP does."""


def test_a_day_of_refreshes_from_a_thousand_phones(
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    began, worked = time.perf_counter(), time.process_time()
    users = {f"phone-{number}": "secret" for number in range(PHONES)}
    statuses: dict[int, int] = {}
    listen = (ListenAddress.parse("udp:5060:interface=192.0.2.1"),)
    # A nonce that lasts until the next refresh makes that one round trip. Nobody looks at the store every second.
    digest = "digest:nonce-lifetime=7200"
    with Server(users=users, listen=listen, authenticator=digest, expire_every=10.0) as server:

        def refresh(phone: Phone) -> None:
            exchange = phone.last
            if exchange is not None:
                assert exchange.answer is not None
                statuses[exchange.answer.status] = statuses.get(exchange.answer.status, 0) + 1
            phone.begin_register(expires=EXPIRES)
            server.later(EXPIRES - BEFORE_THE_END, lambda: refresh(phone))

        for number, name in enumerate(users):
            phone = server.phone(f"sip:{name}@example.com", password="secret")
            server.later(number // FLOOR * FLOOR * EXPIRES / PHONES, lambda phone=phone: refresh(phone))  # type: ignore[misc]
        for _ in range(HOURS):
            server.advance(3_600)
            assert all(server.bindings(phone.aor) for phone in server.phones)
        requests = sum(phone.cseq for phone in server.phones)
        assert statuses == {200: requests - 2 * PHONES}
        assert requests >= PHONES * (HOURS + 1)
        assert server.service.counters.datagrams == requests
        assert len(server.log) == 0
        # Nobody comes any more, and an hour later nothing is left of anybody.
        for call in server.waiting():
            call.cancel()
        server.advance(EXPIRES)
        assert not any(server.bindings(phone.aor) for phone in server.phones)
        assert server.service.transactions() == {}
    record_testsuite_property("REGISTERs", requests)
    record_testsuite_property("seconds", round(time.perf_counter() - began, 2))
    record_testsuite_property("seconds of the processor", round(time.process_time() - worked, 2))


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_an_hour_of_refreshes_with_nonces_that_are_stale(transport: str) -> None:
    with Server(users={"alice": "secret"}) as server:
        phones = [
            server.phone("sip:alice@example.com", password="secret", transport=transport) for _ in range(5)
        ]
        for phone in phones:
            assert phone.register(expires=600).status == 200
        for _ in range(6):
            server.advance(590)
            for phone in phones:
                assert phone.refresh().status == 200
                assert phone.last is not None
                assert len(phone.last.requests) == 2
        assert len(server.bindings("sip:alice@example.com")) == 5
