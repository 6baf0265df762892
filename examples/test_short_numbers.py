"""A policy and its tests: short numbers belong to desk phones, which may have one place and must be heard of often.

    python -m pytest examples/test_short_numbers.py

The server of these tests is the real one, with real TLS. Only the network and the clock are not: an hour takes no time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sipframe.interfaces import IFlow
from sipframe.message import Request
from sipframe.policy import BasePolicy
from sipframe.testing import Network, Server
from sipframe.verdicts import Admitted, Identity, Rejected, Terms


class ShortNumbers(BasePolicy):
    """Numbers of up to four digits register over TLS, from one place, and every ten minutes at least."""

    def admit(self, request: Request, flow: IFlow) -> Admitted | Rejected:
        """Refuse short numbers on a road that is not secure (IPolicy)."""
        if request.method == "REGISTER" and is_short(request.to.uri_text) and not flow.secure:
            return Rejected(403, "Short Numbers Need TLS")
        return Admitted()

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Terms:
        """Give short numbers terms of their own (IPolicy)."""
        if is_short(aor):
            return terms._replace(max_contacts=1, default_expires=600, max_expires=600)
        return terms


def is_short(uri: str) -> bool:
    """Whether the user of ``uri`` is a number of up to four digits."""
    user = uri.partition(":")[2].partition("@")[0]
    return user.isdigit() and len(user) <= 4


USERS = {"100": "desk", "alice": "secret"}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(policies=[ShortNumbers()], users=USERS) as server:
        yield server


def test_a_desk_phone_lasts_ten_minutes(server: Server) -> None:
    phone = server.phone("sip:100@example.com", password="desk", transport="tls")
    phone.register(expires=3600)
    server.expect(phone, 200)
    server.advance(599)
    assert server.bindings("sip:100@example.com")
    server.advance(2)
    assert not server.bindings("sip:100@example.com")


def test_a_desk_phone_has_one_place(server: Server) -> None:
    first, second = [server.phone("sip:100@example.com", password="desk", transport="tls") for _ in range(2)]
    first.register()
    server.expect(first, 200)
    second.register()
    server.expect(second, 403)
    first.unregister()
    second.register()
    server.expect(second, 200)


def test_a_short_number_needs_tls(server: Server) -> None:
    phone = server.phone("sip:100@example.com", password="desk", transport="udp")
    answer = phone.register()
    assert (answer.status, answer.reason) == (403, "Short Numbers Need TLS")
    assert server.decisions[-1].steps[-1].asked == "ShortNumbers.admit"


def test_a_name_is_no_number(server: Server) -> None:
    phone = server.phone("sip:alice@example.com", password="secret", transport="udp")
    phone.register(expires=3600)
    server.expect(phone, 200)
    server.advance(3599)
    assert server.bindings("sip:alice@example.com")


def test_a_network_that_loses_half_of_everything() -> None:
    network = Network(seed=5, loss=0.5, delay=(0.01, 0.2))
    with Server(policies=[ShortNumbers()], users=USERS, network=network) as server:
        phone = server.phone("sip:alice@example.com", password="secret", transport="udp")
        assert phone.register().status == 200
