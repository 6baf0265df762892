"""Records: which secret they are for an algorithm, and what is wrong with them."""

from __future__ import annotations

import pytest

from sipframe.auth.sources.record import checked_owner, is_name, secret_of
from sipframe.verdicts import Secret
from tests.auth.sources.around import CANARY, text_of

MD5, SHA = "0123456789abcdef" * 2, "fedcba9876543210" * 4


@pytest.mark.parametrize(
    ("record", "algorithm", "expected"),
    [
        ({"password": "p"}, "MD5", Secret(password="p")),
        ({"password": "p", "ha1": MD5}, "MD5", Secret(ha1=MD5)),
        ({"password": "p", "ha1": MD5}, "SHA-256", Secret(password="p")),
        (
            {"ha1": MD5.upper(), "owner": "sips:Bob@Example.COM"},
            "MD5",
            Secret(MD5, None, "sip:Bob@example.com"),
        ),
        ({"ha1": SHA}, "SHA-256", Secret(ha1=SHA)),
        ({"ha1": SHA}, "SHA-512-256", Secret(ha1=SHA)),
        ({"ha1": SHA}, "MD5", None),
        ({"ha1": MD5}, "SHA-512-256", None),
        ({"ha1_sha256": SHA}, "MD5", None),
        ({"ha1_sha256": SHA}, "SHA-512-256", None),
        ({"ha1": MD5, "ha1_sha256": SHA}, "SHA-256", Secret(ha1=SHA)),
        ({"ha1": MD5, "ha1_sha256": SHA}, "MD5", Secret(ha1=MD5)),
        ({"ha1_sha512_256": SHA, "ha1": None, "owner": None}, "SHA-512-256", Secret(ha1=SHA)),
    ],
)
def test_the_secret_for_an_algorithm(
    record: dict[str, object], algorithm: str, expected: Secret | None
) -> None:
    assert secret_of(record, algorithm) == expected


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"owner": "sip:bob@example.com"},
        {"password": ""},
        {"password": CANARY.encode()},
        {"ha1": CANARY},
        {"ha1": CANARY.ljust(32, "x")},
        {"ha1": MD5.encode()},
        {"ha1": "\u0660" * 32},
        {"password": "p", "owner": CANARY},
        {"password": "p", "owner": "sip:example.com"},
        {"password": "p", "owner": "tel:+1201"},
        {"password": "p", "owner": 7},
    ],
)
def test_a_record_that_is_wrong(record: dict[str, object]) -> None:
    with pytest.raises(ValueError) as error:
        secret_of(record, "MD5")
    assert text_of(error)


def test_owners() -> None:
    assert checked_owner(None) is None
    assert checked_owner("sip:al%69ce@Example.com:5070;x=y") == "sip:alice@example.com"


@pytest.mark.parametrize("name", ["bob", "bob@example.com", "Łukasz", "a b"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "b\0b", b"b\xffb".decode("utf-8", "surrogateescape")])
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)
