"""Hypothesis strategies for messages: valid ones by the grammar, nearly valid ones, and requests that reach a plug-in.

Rules: ``messages()`` makes only what RFC 3261 25 allows; ``nearly()`` breaks it a little. Both give octets, as a peer
would send them. ``sound_requests()`` gives requests that the server has read and found sound (RFC 3261 8.1.1): what an
authenticator or a policy is asked about. Only this module and :mod:`sipframe.testing.contracts` need hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import reject
from hypothesis import strategies as st

from sipframe.message import MessageError, Request, SipURI, parse_message

__all__ = [
    "addresses",
    "bodies",
    "field_lines",
    "mangled",
    "messages",
    "nearly",
    "requests",
    "responses",
    "sip_uris",
    "sound",
    "sound_requests",
    "texts",
    "tokens",
    "via_values",
]

ALPHANUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
TOKEN = ALPHANUM + "-.!%*_+`'~"
METHODS = [
    "REGISTER",
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "x-Method",
]

tokens = st.text(TOKEN, min_size=1, max_size=12)
blanks = st.sampled_from(["", " ", "\t", "  ", "\r\n ", "\r\n\t", " \r\n  "])
some_blanks = st.sampled_from([" ", "\t", "  ", "\r\n ", " \r\n\t "])
ESCAPES = dict(enumerate("%00 %0D%0a %20 %25 %22 %2c %3B %3c %40 %41 %61 %7e %C3%A9 %ff".split(), 1))  # noqa: SIM905


def texts(alphabet: str, *, least: int = 1, most: int = 12) -> st.SearchStrategy[str]:
    """Characters of ``alphabet`` with escapes between them."""
    stand_ins = "".join(map(chr, ESCAPES))
    return st.text(alphabet + stand_ins, min_size=least, max_size=most).map(
        lambda text: text.translate(ESCAPES)
    )


MARK = "-_.!~*'()"
users = texts(ALPHANUM + MARK + "&=+$,;?/")
passwords = texts(ALPHANUM + MARK + "&=+$,", least=0)
hosts = st.sampled_from(
    [
        *(
            "a",
            "example.com",
            "EXAMPLE.com.",
            "x-1.b--c.D",
            "1a.b",
            "localhost",
            "192.0.2.1",
            "255.255.255.255",
        ),
        *("[::1]", "[2001:db8::9:1]", "[2001:DB8:0:0:0:0:9:01]", "[::ffff:192.0.2.128]"),
    ]
)
ports = st.one_of(st.none(), st.integers(1, 65535))
uri_parameters = st.lists(
    st.tuples(
        texts(ALPHANUM + MARK + "[]/:&+$", most=6),
        st.one_of(st.none(), texts(ALPHANUM + MARK + "[]/:&+$", most=8)),
    ),
    max_size=3,
    unique_by=lambda pair: bytes(pair[0], "ascii").lower(),
).map(lambda pairs: "".join(f";{name}" if value is None else f";{name}={value}" for name, value in pairs))
uri_headers = st.lists(
    st.tuples(texts(ALPHANUM + MARK + "[]/?:+$"), texts(ALPHANUM + MARK + "[]/?:+$", least=0)), max_size=3
).map(lambda pairs: "?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else "")


@st.composite
def sip_uris(draw: st.DrawFn, *, plain: bool = False) -> str:
    """``sip:`` and ``sips:`` URIs; ``plain`` ones need no angle brackets."""
    text = draw(st.sampled_from(["sip", "sips", "SIP", "Sips"])) + ":"
    if draw(st.booleans()):
        user = draw(texts(ALPHANUM + MARK) if plain else users)
        text += user
        if draw(st.booleans()):
            text += ":" + draw(texts(ALPHANUM + MARK) if plain else passwords)
        text += "@"
    text += draw(hosts)
    port = draw(ports)
    text += "" if port is None else f":{port}"
    return text if plain else text + draw(uri_parameters) + draw(uri_headers)


other_uris = st.sampled_from(
    ["tel:+1-201-555-0123;ext=5", "mailto:a@b.example", "urn:service:sos", "http://h/p#f", "isbn:2983792873"]
)
quoted = st.text(
    st.one_of(
        st.sampled_from(ALPHANUM + ' ,;<>@"\\\0é\x7f'),
        st.characters(exclude_characters="\r\n", codec="utf-8"),
    ),
    max_size=12,
).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
displays = st.one_of(st.just(""), quoted, st.lists(tokens, min_size=1, max_size=3).map(" ".join))


@st.composite
def field_parameters(draw: st.DrawFn, *names: str) -> str:
    """``*( SEMI generic-param )``, ``names`` among them."""
    found = [*names, *draw(st.lists(tokens.map(lambda name: "x" + name), max_size=2))]
    text = ""
    for name in {name.lower(): name for name in found}.values():
        value = "" if name not in names and draw(st.booleans()) else "=" + draw(st.one_of(tokens, quoted))
        text += f"{draw(blanks)};{draw(blanks)}{name}" + value
    return text


@st.composite
def addresses(draw: st.DrawFn, *names: str) -> str:
    """name-addr or addr-spec with parameters."""
    parameters = draw(field_parameters(*names))
    if draw(st.integers(0, 3)) == 0:
        return draw(sip_uris(plain=True)) + parameters
    display = draw(displays)
    blank = draw(blanks)
    return f"{display}{blank}<{draw(st.one_of(sip_uris(), other_uris))}>{parameters}"


@st.composite
def via_values(draw: st.DrawFn) -> str:
    """One Via value."""
    slash = draw(blanks) + "/" + draw(blanks)
    transport = draw(st.sampled_from(["UDP", "TCP", "TLS", "WS", "udp"]))
    port = draw(ports)
    text = f"SIP{slash}2.0{slash}{transport}{draw(some_blanks)}{draw(hosts)}"
    if port is not None:
        text += f"{draw(blanks)}:{draw(blanks)}{port}"
    names = ["branch", *draw(st.lists(st.sampled_from(["received", "rport", "maddr"]), unique=True))]
    for name in names:
        value = draw(tokens)
        text += f"{draw(blanks)};{draw(blanks)}{name}"
        if name != "rport" or draw(st.booleans()):
            text += f"={value}"
    return text


name_texts = {
    name: st.sampled_from([name, name.lower(), name.upper(), name.swapcase(), *short])
    for name, *short in (
        ("Via", "v", "V"),
        ("From", "f"),
        ("To", "t"),
        ("Call-ID", "i"),
        ("CSeq",),
        ("Max-Forwards",),
        ("Contact", "m"),
        ("Expires",),
        ("Content-Length", "l"),
        ("Route",),
        ("Supported", "k"),
        ("Require",),
        ("Authorization",),
        ("Subject", "s"),
    )
}
free_texts = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=20)
credentials = st.lists(
    st.tuples(tokens, st.one_of(tokens, quoted)),
    min_size=1,
    max_size=4,
    unique_by=lambda pair: pair[0].lower(),
).map(lambda pairs: "Digest " + ", ".join(f"{name}={value}" for name, value in pairs))


@st.composite
def field_lines(draw: st.DrawFn, name: str, value: str) -> str:
    """A field as it may be spelled, folded and padded."""
    return f"{draw(name_texts[name])}{draw(st.sampled_from(['', ' ', '	']))}:{draw(blanks)}{value}"


bodies = st.one_of(st.just(b""), st.binary(max_size=40), st.just(b"\r\n\r\nINVITE sip:a@b SIP/2.0\r\n\r\n"))


@st.composite
def _with_fields(draw: st.DrawFn, start: str, method: str) -> bytes:
    values: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(1, 3))):
        values.append(("Via", draw(st.lists(via_values(), min_size=1, max_size=2).map(", ".join))))
    values.append(("From", draw(addresses("tag"))))
    values.append(("To", draw(st.one_of(addresses(), addresses("tag")))))
    values.append(("Call-ID", draw(st.text(ALPHANUM + "-@.=", min_size=1, max_size=20))))
    values.append(("CSeq", f"{draw(st.integers(0, 2**31 - 1))}{draw(some_blanks)}{method}"))
    optional = {
        "Max-Forwards": st.integers(0, 255).map(str),
        "Contact": st.one_of(st.just("*"), st.lists(addresses(), min_size=1, max_size=3).map(",".join)),
        "Expires": st.integers(0, 2**32 - 1).map(str),
        "Route": st.lists(sip_uris().map(lambda uri: f"<{uri}>"), min_size=1, max_size=2).map(" , ".join),
        "Supported": st.lists(tokens, max_size=3).map(", ".join),
        "Require": st.lists(tokens, min_size=1, max_size=2).map(",".join),
        "Authorization": credentials,
        "Subject": free_texts,
    }
    for name in draw(st.lists(st.sampled_from(sorted(optional)), unique=True)):
        values.append((name, draw(optional[name])))
    body = draw(bodies)
    values.append(("Content-Length", str(len(body))))
    lines = [draw(field_lines(name, value)) for name, value in draw(st.permutations(values))]
    return "\r\n".join([start, *lines]).encode("utf-8") + b"\r\n\r\n" + body


@st.composite
def requests(draw: st.DrawFn, methods: Sequence[str] = METHODS) -> bytes:
    """A valid request with one of ``methods``, framed."""
    method = draw(st.sampled_from(methods))
    uri = draw(st.one_of(sip_uris(), other_uris))
    return draw(_with_fields(f"{method} {uri} SIP/2.0", method))


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A valid response, framed."""
    status = draw(st.integers(100, 699))
    return draw(_with_fields(f"SIP/2.0 {status} {draw(free_texts)}", draw(st.sampled_from(METHODS))))


def messages() -> st.SearchStrategy[bytes]:
    """Valid messages as they would be sent on a stream."""
    return st.one_of(requests(), responses())


SPLINTERS = [
    *(bytes([octet]) for octet in b'"<>;,:=@/\\%[]()*? \t\r\n\0\x0b\x85\xa0\xff\xed\xe2'),
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"Content-Length: 5\r\n",
    b"l:",
    b"-1",
    b"99999999999999999999999",
    "\u0663".encode(),
    "\u212a".encode(),
    b"\xed\xa0\x80",
    b"%",
    b"%00",
    b"%0d%0a",
    b"sip:",
    b"<sip:[::1",
    b"tag=",
    b"SIP/2.0",
]


@st.composite
def mangled(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` with a few pieces cut out, put in, doubled or moved."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 12)))
        piece = draw(
            st.one_of(
                st.just(b""),
                st.sampled_from(SPLINTERS),
                st.binary(max_size=3),
                st.just(data[at:end] * 2),
                st.just(data[end : end + 9]),
            )
        )
        data = data[:at] + piece + data[end:]
    return data


def nearly() -> st.SearchStrategy[bytes]:
    """Messages with a few defects; some have none that matters."""
    return messages().flatmap(mangled)


def sound(data: bytes) -> Request | None:
    """Read ``data`` as the server does before it asks a plug-in; None when no plug-in would ever see it."""
    try:
        request = parse_message(data)
        if not isinstance(request, Request) or request.method in ("ACK", "CANCEL"):
            return None
        _ = request.reply_via, request.call_id, request.max_forwards, request.contacts
        uri = request.uri
        spelled = request.cseq.method == request.method and request.from_.uri_text and request.to.uri_text
    except MessageError:
        return None
    return request if spelled and not (isinstance(uri, SipURI) and uri.headers) else None


_some_uris = st.one_of(
    st.sampled_from(
        ["sip:example.com", "sip:alice@example.com", "sips:example.org;transport=tls", "tel:+1-201-555-0123"]
    ),
    sip_uris(),
)
_some_addresses = st.one_of(
    st.sampled_from(
        ["<sip:alice@example.com>", '"Bob" <sip:bob@example.com>', "sip:alice@EXAMPLE.com", "<tel:112>"]
    ),
    addresses(),
)
_some_fields = st.one_of(
    st.tuples(
        st.just("Contact"), st.one_of(st.sampled_from(["*", "<sip:a@192.0.2.7>;expires=0"]), addresses())
    ),
    st.tuples(st.just("Expires"), st.sampled_from(["0", "60", "4294967295", "soon"])),
    st.tuples(st.sampled_from(["User-Agent", "Subject", "X-Odd"]), free_texts),
    st.tuples(st.sampled_from(["Authorization", "Proxy-Authorization"]), credentials),
    st.tuples(st.sampled_from(["Require", "Supported", "Allow"]), tokens),
    st.tuples(st.just("Path"), sip_uris().map(lambda uri: f"<{uri}>")),
)


_ASKED_ABOUT = [method for method in METHODS if method not in ("ACK", "CANCEL")]


@st.composite
def sound_requests(draw: st.DrawFn, methods: Sequence[str] = _ASKED_ABOUT) -> Request:
    """Requests that a plug-in may be asked about, a few of them odd; never an ACK or CANCEL.

    They are plainer than those of :func:`requests`, and sooner made.
    """
    method = draw(st.sampled_from(methods))
    fields = [
        ("Via", "SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1"),
        ("From", draw(_some_addresses) + ";tag=1"),
        ("To", draw(_some_addresses)),
        ("Call-ID", draw(tokens)),
        ("CSeq", f"{draw(st.integers(0, 2**31 - 1))} {method}"),
        *draw(st.lists(_some_fields, max_size=3)),
        ("Content-Length", "0"),
    ]
    lines = [f"{method} {draw(_some_uris)} SIP/2.0", *(f"{name}: {value}" for name, value in fields)]
    octets = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    if draw(st.integers(0, 3)) == 3:
        octets = draw(mangled(octets))
    request = sound(octets)
    if request is None:
        reject()
    return request
