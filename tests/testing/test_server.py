"""The whole server in memory: its life, its plug-ins by object and by name, what they wait for, what a crash leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from zope.interface import implementer

from sipframe.interfaces import IAuthenticator, ICredentialSource, IFlow
from sipframe.location import MemoryStore
from sipframe.message import Request
from sipframe.plugging import Choice
from sipframe.policy import BasePolicy
from sipframe.seams import PluginLimits
from sipframe.surroundings import Surroundings
from sipframe.testing import Network, Phone, Server
from sipframe.transport import ListenAddress
from sipframe.verdicts import Accepted, Identity, Rejected, Secret, Terms
from sipframe.wiring import StartError

ALICE = "sip:alice@example.com"
USERS = {"alice": "secret"}
TRANSPORTS = ("udp", "tcp", "tls")


def alice(server: Server, transport: str = "udp", **changes: Any) -> Phone:
    return server.phone(ALICE, **{"password": "secret", "transport": transport, **changes})


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_registration_and_its_end(transport: str) -> None:
    with Server(users=USERS) as server:
        phone = alice(server, transport)
        answer = phone.register(expires=600)
        assert answer.status == 200
        assert server.expect(phone, 200) is answer
        (binding,) = server.bindings(ALICE)
        assert binding.contact == phone.contact
        assert binding.expires_at == server.now() + 600
        server.advance(599)
        assert server.bindings(ALICE)
        server.advance(2)
        assert not server.bindings(ALICE)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_over_ipv6(transport: str) -> None:
    listen = (ListenAddress(transport, 5070, "2001:db8::1"),)  # type: ignore[arg-type]
    with Server(users=USERS, listen=listen) as server:
        phone = alice(server, transport)
        assert ":" in phone.host
        assert phone.register().status == 200
        assert f"[{phone.host}]" in server.bindings(ALICE)[0].contact


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_on_all_addresses(transport: str) -> None:
    with Server(users=USERS, listen=(ListenAddress(transport, 0),)) as server:  # type: ignore[arg-type]
        assert server.address(transport).host == "192.0.2.1"
        assert alice(server, transport).register().status == 200


def test_nothing_is_left_behind() -> None:
    with Server(users=USERS) as server:
        for transport in TRANSPORTS:
            assert alice(server, transport).register().status == 200
        state = server.settings.state
        assert state.exists()
        reactor = server.reactor
    assert not state.exists()
    assert list(reactor.getDelayedCalls()) == []
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.service


def test_a_stop_answers_what_waits() -> None:
    class Slow(BasePolicy):
        async def admit(self, request: Request, flow: IFlow) -> object:
            await Deferred()  # for ever
            raise AssertionError

    with Server(users=USERS, policies=[Slow()], plug_ins=PluginLimits(deadline=60.0)) as server:
        phone = alice(server, "tcp")
        exchange = phone.begin_register()
        server.settle()
        server.stop()
        assert exchange.wait().status == 503


def test_it_does_not_start_twice() -> None:
    with Server() as server, pytest.raises(RuntimeError, match="runs already"):
        server.start()


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "location.sqlite").write_text("no database at all, but a file of some length")
    server = Server(location="sqlite", state=tmp_path)
    with pytest.raises(StartError, match="location"):
        server.start()
    server.close()
    with pytest.raises(StartError, match="ILocationStore"), Server(location=object()):
        pass


def test_a_directory_of_ones_own_stays(tmp_path: Path) -> None:
    with Server(users=USERS, state=tmp_path / "state", location="sqlite") as server:
        assert alice(server, "tls").register().status == 200
    with Server(users=USERS, state=tmp_path / "state", location="sqlite", wall_clock=server.now()) as server:
        assert len(server.bindings(ALICE)) == 1


# Plug-ins.


@implementer(ICredentialSource)
class Directory:
    """Takes ``seconds`` for each answer, on the server's clock."""

    def __init__(self, seconds: float, *, surroundings: Surroundings) -> None:
        self._seconds = seconds
        self._reactor = surroundings.reactor

    async def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        await deferLater(self._reactor, self._seconds)
        return Secret(password="secret") if username == "alice" else None


@implementer(IAuthenticator)
class Everybody:
    """Believes From."""

    def __init__(self, realm: str = "nowhere") -> None:
        self._realm = realm

    def authenticate(self, request: Request, flow: IFlow) -> Accepted:
        return Accepted(Identity("somebody", self._realm, frozenset((request.from_.uri_text,))))


class OneHour(BasePolicy):
    """An hour and no more."""

    def registration(self, request: Request, aor: str, identity: Identity, terms: Terms) -> Terms | Rejected:
        return terms._replace(max_expires=3600)


class Closed(BasePolicy):
    """Nobody."""

    def admit(self, request: Request, flow: IFlow) -> Rejected:
        return Rejected(403, "Closed")


def test_plug_ins_that_wait_are_waited_for() -> None:
    with Server(credentials=f"{__name__}.Directory:seconds=2.5") as server:
        phone = alice(server)
        assert phone.register().status == 200
        assert server.network.timeline.now == pytest.approx(2.5, abs=0.1)


def test_or_looked_at_while_they_do() -> None:
    with Server(credentials=f"{__name__}.Directory:seconds=2.5") as server:
        exchange = alice(server, "tcp").begin_register()
        server.advance(2)
        assert not exchange.done
        assert [one.status for one in exchange.responses] == [401]
        server.advance(0.5)
        assert exchange.answer is not None
        assert exchange.answer.status == 200


def test_a_plug_in_that_is_too_late() -> None:
    with Server(credentials=f"{__name__}.Directory:seconds=9") as server:
        answer = alice(server).register()
        assert (answer.status, answer.first("retry-after")) == (503, "5")
        assert any("unavailable" in line for line in server.log)
        assert any(event.name == "sipframe.plugin.failed" for event in server.events)


@pytest.mark.parametrize(
    "authenticator", [Everybody(), f"{__name__}.Everybody:realm=here", Choice(f"{__name__}.Everybody")]
)
def test_an_authenticator_as_an_object_and_by_name(authenticator: object) -> None:
    with Server(authenticator=authenticator) as server:
        phone = server.phone(ALICE)
        assert phone.register(expires=7200).status == 200
        assert len(phone.last.requests if phone.last is not None else ()) == 1


def test_several_by_name() -> None:
    authenticators = ["digest:algorithms=MD5", f"{__name__}.Everybody"]
    with Server(authenticator=authenticators, credentials=["sqlite"]) as server:
        assert [one.name for one in server.settings.authenticators] == ["digest", f"{__name__}.Everybody"]


def test_policies_of_both_kinds_are_asked_in_their_order() -> None:
    with Server(users=USERS, policies=[OneHour(), f"{__name__}.Closed"]) as server:
        assert alice(server).register().reason == "Closed"
        assert [step.asked for step in server.decisions[-1].steps] == ["OneHour.admit", "Closed.admit"]
    with pytest.raises(ValueError, match="behind them"):
        Server(policies=[f"{__name__}.Closed", OneHour()])


def test_terms_of_a_policy() -> None:
    with Server(users=USERS, policies=[OneHour()]) as server:
        (contact,) = alice(server).register(expires=7200).contacts
        assert contact.expires == 3600


def test_users_or_credentials() -> None:
    with pytest.raises(ValueError, match="not both"):
        Server(users=USERS, credentials="sqlite")


def test_users_may_change() -> None:
    with Server(users=USERS) as server:
        phone = server.phone("sip:bob@example.com", password="b")
        assert phone.register().status == 401
        server.users["bob"] = "b"
        assert phone.register().status == 200
        assert "secret" not in repr(server.users)


def test_settings_by_their_names() -> None:
    with Server(users=USERS, domains=("a.example", "b.example"), terms=Terms(default_expires=90)) as server:
        phone = server.phone("sip:alice@b.example", password="secret", transport="tls")
        (contact,) = phone.register().contacts
        assert contact.expires == 90
    with pytest.raises(TypeError):
        Server(no_such_setting=1)


def test_a_location_of_ones_own() -> None:
    store = MemoryStore()
    with Server(users=USERS, location=store) as server:
        assert alice(server).register().status == 200
        assert server.service.location is store
        server.crash()
        server.start()
        assert len(server.bindings(ALICE)) == 1  # it was not the server's to forget


def test_a_location_that_waits() -> None:
    class Slow(MemoryStore):
        def lookup(self, aor: str) -> Any:
            return deferLater(server.reactor, 1, MemoryStore.lookup, self, aor)

    server = Server(users=USERS, location=Slow())
    with server:
        assert alice(server).register().status == 200
        assert len(server.bindings(ALICE)) == 1


# Waiting.


def test_waiting_for_a_result() -> None:
    with Server() as server:

        async def slow() -> str:
            await deferLater(server.reactor, 5)
            return "done"

        assert server.wait(slow()) == "done"
        assert server.wait(deferLater(server.reactor, 1, lambda: 3)) == 3
        with pytest.raises(ZeroDivisionError):
            server.wait(fail(ZeroDivisionError()))
        cancelled: list[object] = []
        never: Deferred[None] = Deferred(cancelled.append)
        with pytest.raises(AssertionError, match="no result within 2 s"):
            server.wait(never, 2)
        assert cancelled == [never]


def test_things_that_happen_later() -> None:
    with Server(users=USERS) as server:
        phone = alice(server)
        server.later(10, phone.begin_register)
        server.advance(9)
        assert not server.bindings(ALICE)
        server.advance(1)
        assert server.bindings(ALICE)


# Crashes.


def test_what_was_durable_is_there_after_a_crash() -> None:
    with Server(users=USERS, location="sqlite") as server:
        phone = alice(server, "tls")
        assert phone.register(expires=600).status == 200
        for _ in range(3):
            server.crash()
            assert (phone.flows[0].alive, phone.flows[0].why) == (False, "reset by the server")
            with pytest.raises(ConnectionError, match="connection refused"):
                phone.refresh()
            server.advance(30)
            server.start()
            assert len(server.bindings(ALICE)) == 1
        assert phone.refresh().status == 200
        server.restart()
        assert len(server.bindings(ALICE)) == 2  # the contact of a connection has its port in it
        server.advance(601)
        assert not server.bindings(ALICE)


def test_memory_is_gone_after_a_crash() -> None:
    with Server(users=USERS) as server:
        phone = alice(server)
        phone.register()
        server.crash()
        server.start()
        assert not server.bindings(ALICE)
        assert phone.refresh().status == 200  # the nonce is another server's: stale, and believed


@pytest.mark.parametrize("location", ["memory", "sqlite"])
def test_a_crash_with_a_request_under_way(location: str) -> None:
    with Server(users=USERS, location=location) as server:
        phone = alice(server)
        exchange = phone.begin_register()
        server.crash()
        with pytest.raises(AssertionError, match="timed out"):
            exchange.wait()
        server.start()
        assert phone.refresh().status == 200


def test_a_phone_over_udp_outlasts_a_crash() -> None:
    with Server(users=USERS) as server:
        phone = alice(server)
        exchange = phone.begin_register()
        server.crash()
        server.advance(3)
        server.start()
        assert exchange.wait().status == 200  # it was sent again (RFC 3261 17.1.2.2)


# Certificates.


def test_a_certificate_that_is_not_the_servers() -> None:
    with Server(users=USERS) as server:
        with pytest.raises(ConnectionError, match="Hostname mismatch"):
            alice(server, "tls", server_name="other.example").register()
        assert "TLS: Hostname mismatch, certificate" in server.ladder()


def test_client_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("phone.example.com")
    chain, key = tmp_path / "phone.pem", tmp_path / "phone-key.pem"
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    seen: list[bool] = []

    class Looking(BasePolicy):
        def admit(self, request: Request, flow: IFlow) -> object:
            seen.append(flow.peer_certificate is not None)
            return super().admit(request, flow)

    with Server(users=USERS, policies=[Looking()], client_ca=tmp_path / "ca.pem") as server:
        alice(server, "tls", certificate=(chain, key)).request("OPTIONS")
        alice(server, "tls").request("OPTIONS")
    assert seen == [True, False]


def test_certificates_of_ones_own(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("example.com")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    with Server(users=USERS, certificates=((chain, key),)) as server:
        assert alice(server, "tls").register().status == 200
        assert alice(server, "tls", trust=tmp_path / "ca.pem").register().status == 200


# Several servers, and the same again.


def test_two_servers_on_one_network() -> None:
    network = Network(seed=3)
    with (
        Server(users=USERS, network=network) as one,
        Server(users=USERS, network=network, host="192.0.2.2", domains=("b.example",)) as two,
    ):
        first, second = alice(one), two.phone("sip:alice@b.example", password="secret", transport="tls")
        assert (first.register().status, second.register().status) == (200, 200)
        assert first.host != second.host
        one.crash()
        assert second.refresh().status == 200


def run(seed: int, transport: str) -> bytes:
    """A while with accidents; all that went over the network."""
    network = Network(seed, loss=0.2, duplicate=0.1, reorder=0.1, delay=(0.0, 0.3))
    with Server(users=USERS, network=network) as server:
        phones = [alice(server, transport) for _ in range(3)]
        for phone in phones:
            phone.begin_register(expires=120)
        server.advance(100)
        for phone in phones:
            phone.begin_refresh()
        server.advance(40)
    return repr(list(network.wire)).encode()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_same_seed_gives_the_same_wire_octet_for_octet(transport: str) -> None:
    wires = {seed: run(seed, transport) for seed in range(4)}
    assert {seed: run(seed, transport) for seed in range(4)} == wires
    assert len(set(wires.values())) == 4


def test_a_wall_clock_that_is_set() -> None:
    with Server(users=USERS) as server:
        assert alice(server).register(expires=600).status == 200
        began, passed = server.now(), server.network.timeline.now
        server.step_clock(-500.0)
        assert (server.now(), server.network.timeline.now) == (began - 500.0, passed)
        server.advance(700.0)
        assert server.bindings(ALICE)
        server.step_clock(500.0)
        assert not server.bindings(ALICE)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_has_ended_is_held_by_nobody(transport: str) -> None:
    with Server(users=USERS) as server:
        for _ in range(5):
            phone = alice(server, transport)
            assert phone.register().status == 200
            phone.flow.close()
            server.advance(60)
            server.restart()
        for reactor in (server.reactor, server._phones.reactor):
            assert len(reactor._connectors) <= 1
            assert len(reactor._ports) <= 5


def test_a_phone_whose_tls_was_closed_says_nothing_more() -> None:
    with Server(users=USERS, network=Network(delay=0.1)) as server:
        phone = alice(server, "tls")
        asked = phone.begin("OPTIONS")
        phone.flow.close()
        server.advance(1.0)  # the answer was on its way
        assert (phone.flow.alive, phone.flow.opened, asked.answer) == (False, False, None)
        phone.flow.send(b"OPTIONS sip:example.com SIP/2.0\r\n\r\n")
        server.advance(1.0)
        assert not list(server.log)


def test_two_requests_of_a_phone_with_a_wrong_password() -> None:
    with Server(users=USERS) as server:
        phone = server.phone(ALICE, password="wrong")
        exchanges = [phone.begin_register(), phone.begin("MESSAGE", ALICE)]
        server.settle()
        assert [one.answer and one.answer.status for one in exchanges] == [401, 407]
        exchanges = [phone.begin("MESSAGE", ALICE), phone.begin("MESSAGE", ALICE)]
        server.settle()
        assert [one.answer and one.answer.status for one in exchanges] == [407, 407]


def test_addresses() -> None:
    with Server(listen=(ListenAddress.parse("udp:5080:interface=192.0.2.1"),)) as server:
        assert server.address() == ("192.0.2.1", 5080)
        with pytest.raises(ValueError, match="does not listen for tls"):
            server.phone(ALICE, transport="tls")
        for wrong in ("alice", "tel:+1234", "sip:example.com"):
            with pytest.raises(ValueError, match=wrong.replace("+", r"\+")):
                server.phone(wrong)
