"""What phones do and no program here does: keep-alives, several requests at once, connections that come and go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client import Client, authorization, contacts
from tests.process import ServerProcess, add_user

PING, PONG = b"\r\n\r\n", b"\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    state = tmp_path_factory.mktemp("phones") / "state"
    add_user(state, "bob@localhost", "secret")
    with ServerProcess(state) as served:
        yield served


def pinged(client: Client) -> bytes:
    """Send a ping (RFC 5626 3.5.1); the two octets that come."""
    client.send(PING)
    octets = client.socket.recv(1)
    return octets + client.socket.recv(1)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_keep_alives_between_registrations(server: ServerProcess, transport: str) -> None:
    with Client.of(server, transport) as client:
        assert pinged(client) == PONG
        call_id = f"keep-alive-{client.port}"
        for cseq in (1, 3, 5):
            contact = f"Contact: <sip:bob@127.0.0.1:{client.port};transport={transport}>"
            response = client.register("secret", contact, call_id=call_id, cseq=cseq)
            assert response.status == 200
            assert pinged(client) == PONG


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_all_in_one_write(server: ServerProcess, transport: str) -> None:
    """Two refreshes, a keep-alive between them, and half a ping after them."""
    with Client.of(server, transport) as client:
        call_id = f"burst-{client.port}"
        fields = ["Contact: <sip:bob@192.0.2.1>", "Expires: 600"]
        challenge = client.ask(client.request("REGISTER", *fields, call_id=call_id, cseq=1))
        proof = authorization(challenge, "REGISTER", "sip:localhost", "bob", "secret")
        first = client.request("REGISTER", *fields, proof, call_id=call_id, cseq=2)
        second = client.request("REGISTER", *fields, call_id=call_id, cseq=3)
        client.send(first + PING + second + PING[:2])
        answers = {response.cseq.number: response.status for response in (client.receive(), client.receive())}
        assert answers == {2: 200, 3: 401}


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_lost_connection_is_no_lost_binding(server: ServerProcess, transport: str) -> None:
    contact = f"sip:bob@192.0.2.2;transport={transport}"
    with Client.of(server, transport) as client:
        response = client.register("secret", f"Contact: <{contact}>", call_id=f"lost-{client.port}")
        assert response.status == 200
    with Client.of(server, transport) as client:
        response = client.register("secret", call_id=f"fetch-{client.port}")
        assert contact in contacts(response)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_phone_that_was_switched_off(server: ServerProcess, transport: str) -> None:
    """It comes back with the same contact, another Call-ID and a CSeq that begins anew (RFC 3261 10.3 step 7)."""
    contact = f"sip:bob@192.0.2.3:5070;transport={transport}"
    for start in ("before", "after"):
        with Client.of(server, transport) as client:
            response = client.register(
                "secret",
                f"Contact: <{contact}>",
                call_id=f"{start}-{client.port}",
                cseq=900 if start == "before" else 1,
            )
            assert response.status == 200
            assert contacts(response).count(contact) == 1
