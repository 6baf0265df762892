"""Each domain its own realm: the same name in two of them is two users, by whatever road the request comes."""

from __future__ import annotations

import pytest
from zope.interface import implementer

from sipframe.interfaces import ICredentialSource
from sipframe.testing import Phone, Server

PASSWORDS = {
    ("alice", "a.example"): "hers",
    ("alice", "b.example"): "somebody else's",
    ("alice@b.example", "a.example"): "a name that means to be more than it is",
}


@implementer(ICredentialSource)
class TwoTenants:
    def secret(self, username: str, realm: str, algorithm: str) -> str | None:
        return PASSWORDS.get((username, realm))


def served() -> Server:
    return Server(
        credentials=TwoTenants(),
        domains=("a.example", "b.example"),
        aliases={"sip.a.example": "a.example", "sip.b.example": "b.example"},
    )


def registering(server: Server, aor: str, to: str, username: str, password: str) -> Phone:
    """A phone whose Request-URI is ``to``, which is not the domain of its AOR."""
    phone = server.phone(aor, username=username, password=password)
    phone._domain = to
    return phone


@pytest.mark.parametrize("to", ["sip:192.0.2.1", "sip:a.example", "sip:b.example", "sip:SIP.b.example"])
@pytest.mark.parametrize("username", ["alice", "alice@b.example"])
def test_a_user_of_one_domain_is_nobody_in_another(to: str, username: str) -> None:
    with served() as server:
        password = PASSWORDS[username, "a.example"]
        answer = registering(server, "sip:alice@b.example", to, username, password).register()
        assert answer.status >= 400
        assert not server.bindings("sip:alice@b.example")


@pytest.mark.parametrize("domain", ["a.example", "b.example"])
@pytest.mark.parametrize("to", ["sip:192.0.2.1", "sip:{}", "sip:sip.{}", "sip:SIP.{}."])
def test_a_user_is_asked_in_the_realm_of_the_domain_that_is_meant(domain: str, to: str) -> None:
    with served() as server:
        password = PASSWORDS["alice", domain]
        phone = registering(server, f"sip:alice@{domain}", to.format(domain), "alice", password)
        _ = phone.register()
        _ = server.expect(phone, 200)
        assert server.bindings(f"sip:alice@{domain}")


@pytest.mark.parametrize("realm", [None, "everybody"])
@pytest.mark.parametrize(
    ("domain", "aor"),
    [
        ("Example.COM.", "sip:alice@example.com"),
        ("2001:db8::1", "sip:alice@[2001:db8::1]"),
        ("[2001:db8::1]", "sip:alice@[2001:db8::1]"),
    ],
)
def test_however_a_domain_is_written(domain: str, aor: str, realm: str | None) -> None:
    with Server(users={"alice": "secret"}, domains=(domain,), realm=realm) as server:
        phone = server.phone(aor, password="secret")
        _ = phone.register()
        _ = server.expect(phone, 200)
        assert server.bindings(aor)
