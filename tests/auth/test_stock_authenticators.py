"""The authenticators by name: what a command line or a TOML file says becomes one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from sipframe.events import Events
from sipframe.interfaces import IAuthenticator
from sipframe.plugging import Choice, find, make
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Abstained, Accepted, Challenge
from tests.auth.bearer.issuer import AUDIENCE, ISSUER, NOW, jwks, signer
from tests.fakes import FakeFlow, request

KEY = signer("EC", "e1")
BOB = frozenset(("sip:bob@example.com",))


def nothing(*_: object) -> Any:
    raise AssertionError("it needs no other plug-in")


def made(text: str, base: Path, **more: object) -> Any:
    clock: Any = Clock()
    around = Surroundings(
        reactor=clock,
        wall_clock=lambda: NOW,
        entropy=bytes,
        state=base,
        base=base,
        domains=("example.com",),
        aliases={"sip.example.com": "example.com"},
        realm=None,
        events=Events(),
        credentials=nothing,
        plug_in=nothing,
    )
    choice = Choice.parse(text)
    return make(IAuthenticator, Choice(choice.name, {**choice.arguments, **more}), around)


@pytest.mark.parametrize("name", ["certificate", "trusted", "bearer"])
def test_every_argument_is_described(name: str) -> None:
    arguments = find(IAuthenticator, name).arguments()
    assert arguments
    for argument in arguments:
        assert argument.description, argument.name


def test_trusted(tmp_path: Path) -> None:
    trusted = made(r"trusted:networks=192.0.2.0/24,2001\:db8\:\:/32:udp=yes", tmp_path)
    found = trusted.authenticate(request("REGISTER", to="<sip:bob@sip.example.com>"), FakeFlow("UDP"))
    assert found.identity.aors == BOB
    assert isinstance(trusted.authenticate(request(), FakeFlow("TCP", "2001:db8::7")), Accepted)
    with pytest.raises(ValueError, match=r"^trusted: networks: .* write 192\.0\.2\.0/24"):
        made("trusted:networks=here", tmp_path)
    with pytest.raises(ValueError, match="networks is missing"):
        made("trusted", tmp_path)


def test_certificate(tmp_path: Path) -> None:
    plain = made("certificate:whole-domains=yes:email=yes", tmp_path)
    assert plain.authenticate(request(), FakeFlow("TLS")) == Abstained("no client certificate")


class TestBearer:
    MINIMUM = {"issuer": ISSUER, "audience": (AUDIENCE,)}

    def test_keys_in_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "jwks.json").write_bytes(jwks(KEY))
        text = rf"bearer:issuer=https\://idp.example.net/realm:audience=other,{AUDIENCE}:keys-file=jwks.json:scope=sip"
        bearer = made(text, tmp_path)
        shown = request("REGISTER", f"Authorization: Bearer {KEY.token(scope='sip')}")
        assert bearer.authenticate(shown, FakeFlow("TLS")).identity.aors == BOB
        asked = bearer.authenticate(request(), FakeFlow("TLS"))
        assert asked.values == (f'Bearer realm="example.com", scope="sip", authz_server="{ISSUER}"',)
        bearer.close()

    def test_keys_at_a_url_are_not_fetched_before_they_are_needed(self, tmp_path: Path) -> None:
        bearer = made("bearer", tmp_path, **self.MINIMUM, **{"keys-url": "https://idp.example.net/jwks"})
        assert isinstance(bearer.authenticate(request(), FakeFlow("TLS")), Challenge)
        bearer.close()

    def test_a_key_to_decrypt_with(self, tmp_path: Path) -> None:
        (tmp_path / "jwks.json").write_bytes(jwks(KEY))
        (tmp_path / "ours.pem").write_bytes(KEY.private_pem)
        files = {"keys-file": str(tmp_path / "jwks.json"), "decryption-file": str(tmp_path / "ours.pem")}
        made("bearer", tmp_path, **self.MINIMUM, **files).close()
        (tmp_path / "ours.pem").write_bytes(KEY.pem)
        with pytest.raises(ValueError, match=r"ours\.pem: "):
            made("bearer", tmp_path, **self.MINIMUM, **files)
        (tmp_path / "ours.pem").unlink()
        with pytest.raises(ValueError, match=r"ours\.pem: No such file"):
            made("bearer", tmp_path, **self.MINIMUM, **files)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({}, "either keys-url or keys-file"),
            ({"keys-url": "https://idp.example.net/jwks", "keys-file": "x"}, "either keys-url or keys-file"),
            ({"keys-url": "http://idp.example.net/jwks"}, "https URL"),
            ({"keys-url": "https://idp.example.net/jwks", "ca-file": "/does/not/exist"}, "No such file"),
            ({"keys-url": "https://idp.example.net/jwks", "keys-every": "1"}, "seconds"),
            ({"keys-url": "https://idp.example.net/jwks", "keys-deadline": "0"}, "keys-deadline"),
            ({"keys-file": "/does/not/exist"}, "No such file"),
            ({"algorithms": "RS256,none"}, "none"),
            ({"algorithms": "HS256"}, "HS256"),
        ],
    )
    def test_what_cannot_be(self, tmp_path: Path, arguments: dict[str, object], reason: str) -> None:
        with pytest.raises(ValueError, match=reason) as caught:
            made("bearer", tmp_path, **self.MINIMUM, **arguments)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("missing", ["issuer", "audience"])
    def test_what_must_be_there(self, tmp_path: Path, missing: str) -> None:
        some = {name: value for name, value in self.MINIMUM.items() if name != missing}
        with pytest.raises(ValueError, match=f"{missing} is missing"):
            made("bearer", tmp_path, **some)
