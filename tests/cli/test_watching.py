from __future__ import annotations

from io import StringIO

import pytest
from twisted.internet.task import Clock

from sipframe.cli.watching import Watcher
from sipframe.message import MessageError, Response, SipURI, parse_message
from sipframe.ua import Contact, Finished, Server, Verdict
from sipframe.ua.flows import ClientFlow
from sipframe.verdicts import Address

AOR = SipURI("sip", "bob", None, "example.com", None, (), ())
REGISTER = (
    b'REGISTER sip:example.com SIP/2.0\r\nCSeq: 1 REGISTER\r\nAuthorization: Digest username="bob", realm="r",'
    b' response="5ec4e7"\r\nContact: <sip:bob@192.0.2.4>\r\n\r\n'
)


class Screen(StringIO):
    """A screen that shows UTF-8, until nobody looks any more."""

    encoding = "utf-8"
    gone = False

    def write(self, text: str, /) -> int:
        if self.gone:
            raise BrokenPipeError
        return super().write(text)


class Watched:
    def __init__(self, transport: str = "TLS", **options: bool) -> None:
        self.clock = Clock()
        self.screen = Screen()
        self.watcher = Watcher(self.screen, 80, {}, self.clock.seconds, **options)
        flow = ClientFlow(
            transport,
            Address("192.0.2.4", 40312),
            Address("2001:db8::1", 5061),
            lambda data: None,
            lambda: None,
        )
        flow.tls_version = "TLSv1.3" if transport == "TLS" else ""
        server = Server(transport, "example.com", 5061)
        self.watcher.connected(server, flow, (Contact("<sip:bob@192.0.2.4>"),))

    @property
    def text(self) -> str:
        return self.screen.getvalue()

    def finished(self, *fields: str, proved: bool | None = None) -> str:
        head = "".join([f"{field}\r\n" for field in fields])
        response = parse_message(f"SIP/2.0 200 OK\r\n{head}\r\n".encode())
        assert isinstance(response, Response)
        self.watcher.end()
        self.screen.truncate(0)
        self.screen.seek(0)
        self.watcher.summarize(AOR, Finished(Verdict.ACCEPTED, response, proved))
        return self.text


def test_the_ends_of_the_flow_and_the_handshake() -> None:
    text = Watched().text
    assert "192.0.2.4:40312" in text
    assert "[2001:db8::1]:5061 TLS" in text
    assert "TLS 1.3" in text
    assert "certificate of example.com" in text.replace("\n", "")
    assert "NOT CHECKED" in Watched(unchecked=True).text
    assert "═" not in Watched("TCP").text


def test_messages_as_they_come() -> None:
    watched = Watched("UDP")
    watched.watcher.sent(REGISTER, False)
    watched.clock.advance(0.5)
    watched.watcher.sent(REGISTER, True)
    watched.watcher.arrived(parse_message(b"SIP/2.0 401 No\x1b[2J\r\nCSeq: 1 REGISTER\r\n\r\n"))
    watched.watcher.malformed(MessageError("Malformed start line"))
    watched.watcher.end()
    text = watched.text
    assert "0.0 ms" in text
    assert "500.0 ms" in text
    assert "again" in text
    assert "401 No\\x1b[2J" in text
    assert "\x1b" not in text
    assert "Malformed start line" in text
    assert "5ec4e7" not in text
    assert text.endswith("┴\n\n")


def test_whole_messages_hide_the_digest() -> None:
    watched = Watched("UDP", verbose=True)
    watched.watcher.sent(REGISTER, False)
    assert 'Digest username="bob"' in watched.text
    assert "response=(not" in watched.text
    assert "5ec4e7" not in watched.text


def test_giving_up() -> None:
    watched = Watched("UDP")
    watched.watcher.gave_up("no answer")
    assert "no answer" in watched.text
    before = watched.text
    watched.watcher.gave_up("no answer")
    assert watched.text == before


def test_what_the_server_lists() -> None:
    text = Watched().finished(
        "Contact: <sip:bob@192.0.2.4>;expires=3600, <sip:x@192.0.2.5>, <sip:y@h>;expires=59"
    )
    assert text == (
        "sip:bob@example.com has 3 bindings:\n\n"
        "    1h 00m  sip:bob@192.0.2.4  (this one)\n"
        "         ?  sip:x@192.0.2.5\n"
        "       59s  sip:y@h\n"
    )


@pytest.mark.parametrize(
    ("proved", "said"), [(True, "has proved that it knows"), (False, "has NOT proved that")]
)
def test_whether_the_server_knows_the_password(proved: bool, said: str) -> None:
    assert said in Watched().finished(proved=proved)


def test_no_binding_and_an_unreadable_list() -> None:
    assert Watched().finished() == "sip:bob@example.com has no binding.\n"
    assert "unreadable: Malformed address in Contact" in Watched().finished("Contact: <sip:bob")


def test_when_nobody_looks_any_more_it_is_said_at_the_end() -> None:
    watched = Watched("UDP")
    watched.screen.gone = True
    watched.watcher.sent(REGISTER, False)
    watched.watcher.sent(REGISTER, True)
    with pytest.raises(BrokenPipeError):
        watched.watcher.end()


def test_a_screen_without_the_characters_gets_ascii() -> None:
    watched = Watched()
    watched.screen = Screen()
    watched.screen.encoding = "ascii"
    watched.watcher = Watcher(watched.screen, 80, {}, watched.clock.seconds)
    flow = ClientFlow(
        "UDP", Address("192.0.2.4", 1), Address("192.0.2.1", 2), lambda data: None, lambda: None
    )
    watched.watcher.connected(Server("UDP", "example.com", 5060), flow, ())
    watched.watcher.sent(REGISTER.replace(b"<sip:bob@", "<sip:b\u00f6b@".encode()), False)
    assert watched.text.isascii()
