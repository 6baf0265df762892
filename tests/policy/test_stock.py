"""The stock policies by name, in the whole server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sipframe.plugging import Choice
from sipframe.testing import Phone, Server
from sipframe.wiring import StartError

USERS = {"alice": "secret", "bob": "zanzibar"}
DOMAINS = ("example.com", "example.org")


def server(*policies: str | Choice, **settings: Any) -> Server:
    return Server(users=USERS, policies=policies, domains=DOMAINS, **settings)


def phone(server: Server, user: str = "alice", password: str | None = None, **more: Any) -> Phone:
    return server.phone(f"sip:{user}@example.com", password=password or USERS.get(user, "none"), **more)


def told(server: Server, name: str, *fields: str) -> list[tuple[object, ...]]:
    """Events of one kind."""
    return [
        tuple(event.fields[field] for field in fields)
        for event in server.events
        if event.name == f"sipframe.policy.{name}"
    ]


def contacts(server: Server, user: str = "alice") -> list[str]:
    return [binding.contact for binding in server.bindings(f"sip:{user}@example.com")]


def test_terms_of_a_user() -> None:
    with server("terms:max-expires=600", "terms:user=bob@example.com:max-expires=120:min-expires=90") as made:
        assert phone(made).register(expires=3600).contacts[0].param("expires") == "600"
        bob = phone(made, "bob")
        assert bob.register(expires=3600).contacts[0].param("expires") == "120"
        brief = bob.register(expires=80)
        assert (brief.status, brief.all("min-expires")) == (423, ["90"])


def test_terms_from_tables() -> None:
    tables: dict[str, object] = {
        "max-contacts": 1,
        "domains": {"example.org": {"max-contacts": 2}},
        "users": {"bob@example.com": {"max-contacts": 3}},
    }
    with server(Choice("terms", tables)) as made:
        found = [
            made.phone(aor, password=USERS["bob"])
            .register(*[f"sip:{n}@192.0.2.9" for n in range(count)])
            .status
            for aor, count in [
                ("sip:bob@example.com", 3),
                ("sip:bob@example.com", 4),
                ("sip:bob@example.org", 2),
                ("sip:bob@example.org", 3),
            ]
        ]
        assert found == [200, 403, 200, 403]
        assert phone(made).register("sip:1@192.0.2.9", "sip:2@192.0.2.9").status == 403


def test_the_oldest_contact_makes_room() -> None:
    with server("terms:max-contacts=2:when-full=replace-oldest") as made:
        phones = [phone(made) for _ in range(3)]
        for one in phones:
            assert one.register().status == 200
            made.advance(1)
        assert contacts(made) == [one.contact for one in phones[1:]]
        assert phones[1].refresh().status == 200
        made.advance(1)
        assert phones[0].register().status == 200
        assert sorted(contacts(made)) == sorted(one.contact for one in phones[:2])
        # Too many by itself: nothing changes, and nobody goes.
        assert phones[2].register("sip:1@192.0.2.9", "sip:2@192.0.2.9", "sip:3@192.0.2.9").status == 403
        assert sorted(contacts(made)) == sorted(one.contact for one in phones[:2])


def test_third_parties_by_terms() -> None:
    for policies, status in (((), 403), (("terms:domain=example.com:third-party=yes",), 200)):
        with server(*policies) as made:
            one = made.phone("sip:bob@example.com", username="alice", password="secret")
            assert one.register().status == status


def test_bindings_end_with_their_connection_by_terms() -> None:
    with server("terms:user=alice@example.com:drop-when-flow-lost=yes") as made:
        for user in USERS:
            one = phone(made, user, transport="tcp")
            assert one.register().status == 200
            assert one.flow is not None
            one.flow.close()
        made.advance(1)
        assert (contacts(made, "alice"), len(contacts(made, "bob"))) == ([], 1)


def test_allow_and_deny() -> None:
    with server(
        "allow:network=198.51.100.0/24,192.0.2.0/24",
        "deny:user-agent=*scanner*:status=404:reason=Nobody Here",
        "deny:domain=example.org:method=REGISTER",
    ) as made:
        assert phone(made, host="203.0.113.5").register().status == 403
        inside = phone(made, host="192.0.2.50")
        assert inside.register().status == 200
        scanning = inside.register(fields=["User-Agent: friendly-scanner/1.0"])
        assert (scanning.status, scanning.reason) == (404, "Nobody Here")
        there = made.phone("sip:alice@example.org", password="secret", host="192.0.2.51")
        assert there.register().status == 403
        assert there.request("OPTIONS").status == 200


def test_a_rate_limit() -> None:
    with server("rate-limit:address-rate=0.5:address-burst=4:aor-rate=0.1:aor-burst=3") as made:
        flooding, calm = phone(made, host="192.0.2.50"), phone(made, "bob", host="192.0.2.51")
        answers = [flooding.register(authenticate=False) for _ in range(6)]
        assert [one.status for one in answers] == [401] * 4 + [503] * 2
        assert answers[-1].all("retry-after") == ["2"]
        assert calm.register().status == 200
        made.advance(4)
        assert flooding.register().status == 200
    with server("rate-limit:aor-rate=0.1:aor-burst=3") as made:
        one, other = phone(made), phone(made, "bob")
        answers = [one.register() for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 500, 500]
        assert (answers[-1].reason, answers[-1].all("retry-after")) == ("Too Many Registrations", ["10"])
        assert other.register().status == 200
        made.advance(10)
        assert [one.register().status for _ in range(2)] == [200, 500]


def test_back_off_counts_what_callers_get_wrong() -> None:
    with server("back-off:allowed=2:first-delay=8") as made:
        thief = phone(made, password="guess", host="203.0.113.9")
        asked = [thief.request("MESSAGE", "sip:bob@example.com") for _ in range(4)]
        assert [one.status for one in asked] == [407, 407, 407, 500]
        assert asked[-1].all("retry-after") == ["8"]
        # So he is where he registers; and she is not, elsewhere, nor is somebody else where he is.
        assert thief.register().status == 500
        assert phone(made).request("MESSAGE", "sip:bob@example.com").status == 480
        assert phone(made, "bob", host="203.0.113.9", transport="tcp").register().status == 200
        assert told(made, "banned", "address", "aor") == [("203.0.113.9", "sip:alice@example.com")]
        made.advance(8)
        assert thief.request("MESSAGE", "sip:bob@example.com").status == 407


def test_back_off(tmp_path: Path) -> None:
    path = tmp_path / "bans"
    options = f"allowed=2:address-allowed=4:first-delay=8:file={path}"
    with server(f"back-off:{options}") as made:
        good = phone(made, host="192.0.2.50")
        assert good.register().status == 200
        bad = phone(made, "bob", "guess", host="192.0.2.50", transport="tcp")
        assert [bad.register().status for _ in range(4)] == [401, 401, 401, 500]
        assert told(made, "banned", "address", "aor", "until", "count") == [
            ("192.0.2.50", "sip:bob@example.com", made.now() + 8, 3)
        ]
        # Elsewhere the same user is not held up, and nobody else is here.
        assert phone(made, "bob", host="192.0.2.51").register().status == 200
        assert good.refresh().status == 200
        bad.password = USERS["bob"]
        held = bad.register()
        assert (held.status, held.all("retry-after")) == (500, ["8"])
        made.advance(8)
        assert bad.register().status == 200
        assert told(made, "unbanned", "aor") == [("sip:bob@example.com",)]
        # Many users from one address.
        scanner = [phone(made, f"user{number}", host="192.0.2.50", transport="tcp") for number in range(4)]
        assert [one.register().status for one in scanner] == [401, 401, 503, 503]
        made.advance(1)
        assert path.read_text().splitlines() == ["192.0.2.50 2025-01-01T00:00:16Z"]
        assert good.refresh().status == 200
        made.advance(8)
        assert path.read_text() == ""
        assert phone(made, "carol", host="192.0.2.50", transport="tcp").register().status == 401


def test_a_stale_nonce_is_no_failure() -> None:
    with server("back-off:allowed=1") as made:
        one = phone(made)
        for _ in range(5):
            assert one.register().status == 200
            made.advance(3600)
        assert told(made, "banned", "aor") == []


def test_a_shadow_changes_nothing_and_tells() -> None:
    with server(
        "shadow:policy=deny\\:network=192.0.2.0/24", "shadow:policy=terms\\:max-contacts=1\\:max-expires=60"
    ) as made:
        assert phone(made, host="192.0.2.50").register("sip:1@192.0.2.9", "sip:2@192.0.2.9").status == 200
        assert told(made, "differs", "policy", "method", "verdict", "status") == [
            ("deny:network=192.0.2.0/24", "admit", "Rejected", 403),
            ("deny:network=192.0.2.0/24", "admit", "Rejected", 403),
            ("terms:max-contacts=1:max-expires=60", "registration", "Terms", 0),
        ]
        assert told(made, "differs", "terms")[-1] == (
            {"max_contacts": 1, "max_expires": 60, "default_expires": 60},
        )


def test_policies_go_on_through_a_reload_and_end_with_the_server(tmp_path: Path) -> None:
    with server("rate-limit:address-burst=3", f"back-off:file={tmp_path / 'bans'}") as made:
        one = phone(made)
        assert [one.register(authenticate=False).status for _ in range(4)] == [401, 401, 401, 503]
        assert made.service.events.wanted
        made.restart()
        assert one.register().status == 200


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        (["deny"], "deny: one condition at least"),
        (["deny:network=192.0.2.1/24"], "deny: network: .* has host bits set"),
        (["allow:method=register"], "methods are in upper case"),
        (["deny:method=BYE:status=200"], "status from 400"),
        (["terms"], "no terms are given"),
        (["terms:domain=example.net:max-contacts=1"], "example.net is no domain that is served"),
        (["terms:max-contacts=many"], "max-contacts: 'many' is not a whole number"),
        (["terms:when-full=explode"], "when-full: 'explode' is not refuse or replace-oldest"),
        (["rate-limit:most=0"], "most: must be 1 or more"),
        (["back-off:longest-delay=1"], "longest-delay: 1.0 is less than first-delay"),
        (["back-off:file=/missing/bans"], "/missing/bans: cannot be written"),
        (["shadow:policy=nobody"], "there is no policy 'nobody'"),
        (["shadow"], "the argument policy is missing"),
        (["shadow:policy=deny\\:method=BYE:deadline=0"], "deadline: must be more than 0"),
    ],
)
def test_what_is_wrong_is_told_at_the_start(policies: Sequence[str], message: str) -> None:
    with pytest.raises(StartError, match=message), server(*policies):
        pass
