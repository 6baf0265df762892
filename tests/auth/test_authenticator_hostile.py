"""Whatever a peer sends, there is a verdict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sipframe.verdicts import Accepted, Challenge, Rejected
from tests.auth import client
from tests.auth.server import EVERYTHING, Server

octets = st.binary(max_size=12).map(lambda data: data.decode("utf-8", "surrogateescape"))
quotable = octets.filter(lambda text: not set(text) & set("\r\n"))
hostile = st.binary(max_size=60).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
parameters = [
    "username",
    "username*",
    "realm",
    "nonce",
    "uri",
    "response",
    "algorithm",
    "qop",
    "nc",
    "cnonce",
]


@given(st.lists(hostile, max_size=3))
def test_no_octets_raise(fields: list[bytes]) -> None:
    assert isinstance(Server(EVERYTHING).ask(*fields), Challenge | Rejected)


@given(
    changes=st.dictionaries(
        st.sampled_from([*parameters, "opaque", "userhash", "stale"]), quotable | st.none()
    ),
    quoted=st.booleans(),
    right=st.sampled_from(["zanzibar", "guess"]),
    uri=st.sampled_from(["sip:example.com", "sip:x@[::1]:0;a=b?c=d", "nonsense", "tel:1"]),
)
def test_no_parameters_raise(changes: dict[str, str | None], quoted: bool, right: str, uri: str) -> None:
    server = Server(EVERYTHING)
    for index in range(len(client.ALGORITHMS)):
        params = {**client.answer(server.challenged(index), password=right, uri=uri), **changes}
        text = ", ".join(
            f"{name}={value if quoted else client.written({'x': value}).removeprefix('Digest x=')}"
            for name, value in params.items()
            if value is not None
        )
        assert isinstance(server.ask(f"Digest {text}", uri=uri), Accepted | Challenge | Rejected)
