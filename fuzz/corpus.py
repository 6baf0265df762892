"""What fuzzing begins with: the messages that RFCs print, the tests' own data, and a few lines for each parser.

Rules: a seed is octets as an oracle takes them. Everything comes from this tree.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sipframe.message import MessageError, Request, Response, parse_message
from tests.tree import ROOT

__all__ = ["SEEDS", "messages", "write"]

_TESTS: Final = ROOT / "tests"
_PRINTED: Final = ("conformance/rfc4475/*.dat", "conformance/rfc3665/*/*.sip")


def messages() -> Iterator[bytes]:
    """The messages of RFC 4475 and RFC 3665, as they are printed."""
    for pattern in _PRINTED:
        for path in sorted(_TESTS.glob(pattern)):
            yield path.read_bytes()


def _read() -> Iterator[Request | Response]:
    for data in messages():
        try:
            yield parse_message(data)
        except MessageError as error:
            if error.partial is not None:
                yield error.partial


def _values(*names: str) -> Iterator[bytes]:
    """What stands in these fields of them."""
    seen: set[str] = set()
    for message in _read():
        for name in names:
            for value in message.all(name):
                if value not in seen:
                    seen.add(value)
                    yield value.encode("utf-8", "surrogateescape")


def _streams() -> Iterator[bytes]:
    printed = list(messages())
    for data in printed:
        yield b"\0" + data
        yield b"\x03\x00\x10\x40" + data
    yield b"\1\7" + b"\r\n\r\n".join(printed[:3])
    yield b"\1\0" + b"\r\n" * 20
    yield b"\2\1\2" + b"MESSAGE sip:a@b SIP/2.0\r\nl:4\r\n\r\n\r\n\r\nSIP/2.0 200 OK\r\nl: 0\r\n\r\n"


def _uris() -> Iterator[bytes]:
    for name in ("parse.toml", "comparison.toml"):
        table = tomllib.loads((_TESTS / "message" / "data" / name).read_text("utf-8"))
        for entries in table.values():
            for entry in entries if isinstance(entries, list) else ():
                if "uri" in entry:
                    yield str(entry["uri"]).encode()
                if "a" in entry and "b" in entry:
                    yield f"{entry['a']}\0{entry['b']}".encode()
    for message in _read():
        if isinstance(message, Request):
            yield message.uri_text.encode("utf-8", "surrogateescape")


def _credentials() -> Iterator[bytes]:
    yield from _values("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate")
    yield b'username="bob", realm="atlanta.example.com", nonce="x", uri="sip:a", response="0", qop=auth, nc=00000001'
    yield b"Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln"
    yield b"Digest username*=UTF-8''b%C3%B6b, userhash=false"


def _fields() -> Iterator[bytes]:
    yield from _values(
        "cseq", "max-forwards", "expires", "date", "retry-after", "warning", "supported", "require"
    )
    yield b"Sat, 13 Nov 2010 23:29:00 GMT"
    yield b"18000;duration=3600"
    yield b"120 (I'm in a meeting (really))"
    yield b'370 devnull "Choose a bigger pipe", 307 isi.edu "Session parameter \'foo\' not understood"'
    yield b';a;b=c;d="e;f"'


def _addresses() -> Iterator[bytes]:
    yield from _values("from", "to", "contact", "route", "record-route")
    yield b'"A, \\"B\\"" <sip:a@b;c=d>;q=0.7;expires=60, sip:c@d;q=1'
    yield b'<sip:a@b>;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";reg-id=1'


def _configurations() -> Iterator[bytes]:
    for path in sorted((ROOT / "examples").glob("*.toml")):
        yield path.read_bytes()
    yield b'listen = ["udp:0"]\nlocation = "memory"\npolicies = ["rate-limit:address-rate=1"]\n'
    yield b'[plug-ins]\ndeadline = 1\n[limits.message-sizes]\nhead = 10\n[[certificates]]\ncertificate = "a"\n'


def _users() -> Iterator[bytes]:
    yield b'alice = "wonderland"\n["bob@example.com"]\nha1 = "939e7578ed9e3c518a452acee763bce9"\nrealm = "x"\n'
    yield b'[x]\npassword = "p"\nowner = "sip:x@example.com"\nha1-sha256 = "' + b"0" * 64 + b'"\n'


def _htdigest() -> Iterator[bytes]:
    yield (
        b"# users\nbob:example.com:939e7578ed9e3c518a452acee763bce9\r\nbob:example.com:"
        + b"aB" * 32
        + b"\n\n"
    )
    yield b"\xef\xbb\xbf\xffb:r:" + b"0" * 32


def _admin() -> Iterator[bytes]:
    for rest in (
        "why",
        'why","all":true,"most":3,"call_id":"x',
        'why","aor":"sip:bob@example.com',
        "watch",
        "bindings",
        'bindings","aor":"bob@example.com',
        'remove","aor":"sip:nobody@example.com","contact":"sip:x@y',
        "counters",
    ):
        yield f'{{"version":1,"command":"{rest}"}}'.encode()


def _bearer() -> Iterator[bytes]:
    yield b"eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJpc3MiOiJ4In0.c2lnbmF0dXJl"
    yield b"eyJhbGciOiJFUzI1NiIsImtpZCI6ImUifQ.e30." + b"A" * 86
    yield b"eyJhbGciOiJub25lIn0.e30."
    yield b'{"iss":"https://idp.example.net","aud":["sip"],"scope":"sip","exp":1,"nbf":-1.5}'
    yield b'{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}'


def _stun() -> Iterator[bytes]:
    head = bytes.fromhex("000100002112a442") + bytes(12)
    yield head
    yield head[:2] + b"\0\x08" + head[4:] + bytes.fromhex("0003000400000006")
    yield head[:2] + b"\0\x08" + head[4:] + bytes.fromhex("8028000400000000")


def _options() -> Iterator[bytes]:
    yield from (
        b"sqlite:path=a\\:b:x=1",
        b"udp:5060:interface=[::1]",
        b"tls:5061",
        b"tcp:0:interface=192.0.2.1",
    )


def _flow_tokens() -> Iterator[bytes]:
    yield b"A" * 40
    yield b"AAAAAAAAAAAAAAAAAMAAAgETxAAAAAABE8QB"


SEEDS: Final[Mapping[str, Callable[[], Iterator[bytes]]]] = MappingProxyType(
    {
        "datagram": messages,
        "stream": _streams,
        "uri": _uris,
        "addresses": _addresses,
        "via": lambda: _values("via"),
        "credentials": _credentials,
        "fields": _fields,
        "stun": _stun,
        "flow-token": _flow_tokens,
        "bearer": _bearer,
        "admin": _admin,
        "configuration": _configurations,
        "users": _users,
        "htdigest": _htdigest,
        "options": _options,
        "server": messages,
    }
)
"""By the name of the target."""


def write(name: str, folder: Path) -> int:
    """Write the seeds of a target as files; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for count, data in enumerate(SEEDS[name](), 1):
        _ = (folder / f"seed-{count:03}").write_bytes(data)
    return count
