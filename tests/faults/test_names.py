"""Name servers that are dead: who asks for a domain elsewhere is told so in time, and nobody else notices."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sipframe.message import Response
from tests.client import Client, answer_to, digest_response
from tests.counters import counters
from tests.process import ServerProcess, add_user

UDP = ("udp:0:interface=127.0.0.1",)
LOST = 20


def message(client: Client, number: int, proof: str = "") -> bytes:
    """A MESSAGE of bob's to somebody in a domain of others, another one for each ``number``."""
    uri = f"sip:somebody@host-{number}.example.org"
    fields = (f"Proxy-{proof}",) if proof else ()
    asking = client.request("MESSAGE", *fields, call_id=f"message-{number}", cseq=2 if proof else 1)
    return asking.replace(b"sip:localhost SIP", f"{uri} SIP".encode(), 1)


def send(client: Client, number: int) -> None:
    """Send it with credentials; the answer comes later."""
    challenge = client.ask(message(client, number))
    assert challenge.status == 407
    params = dict(answer_to_proxy(challenge))
    uri = f"sip:somebody@host-{number}.example.org"
    response = digest_response(params, "MESSAGE", uri, "bob", "zanzibar", "00000001")
    client.send(
        message(
            client,
            number,
            f'Authorization: Digest username="bob", realm="{params["realm"]}", nonce="{params["nonce"]}", '
            f'uri="{uri}", response="{response}", algorithm=MD5, opaque="{params.get("opaque", "")}", qop=auth, '
            'nc=00000001, cnonce="c"',
        )
    )


def answer_to_proxy(challenge: Response) -> dict[str, str]:
    found = challenge.to_bytes().replace(b"Proxy-Authenticate", b"WWW-Authenticate")
    from sipframe.message import parse_message

    again = parse_message(found)
    assert isinstance(again, Response)
    return answer_to(again)


@pytest.mark.parametrize("how", ["silent", "refused"])
def test_name_servers_are_dead(how: str, tmp_path: Path) -> None:
    state, settings = tmp_path / "state", tmp_path / "sipframe.toml"
    add_user(state, "bob@localhost", "zanzibar")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server_at = f"127.0.0.1:{silent.getsockname()[1]}"
        if how == "refused":
            silent.close()
        settings.write_text(f'[resolving]\nservers = ["{server_at}"]\n', encoding="ascii")
        with (
            ServerProcess(state, f"--config={settings}", listen=UDP) as server,
            Client.of(server, "udp") as phone,
            Client.of(server, "udp") as other,
        ):
            for number in range(LOST):
                send(phone, number)
            # All of them wait for names; the others are served before the first of them is answered.
            assert other.register("zanzibar", "Contact: <sip:bob@192.0.2.7>", call_id="other").status == 200
            assert other.options() == 200
            statuses: dict[str, int] = {}
            while len(statuses) < LOST:
                response = phone.receive()
                if response.status >= 200:
                    statuses[response.call_id] = response.status
            assert set(statuses.values()) <= {500, 503}, statuses
            assert counters(server)["transport"]["sink_failures"] == 0
            assert other.register("zanzibar", call_id="other", cseq=9).status == 200
