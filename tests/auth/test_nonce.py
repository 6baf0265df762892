from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from sipframe.auth.nonce import FOREIGN, NONCE_LENGTH, NonceClock, NonceSeries

SECRET = bytes(range(32))


def series(clock: Clock, realm: str = "r", algorithm: str = "MD5", secret: bytes = SECRET) -> NonceSeries:
    return NonceSeries(secret, realm, algorithm, NonceClock(clock.seconds))


def test_a_nonce_tells_when_it_was_issued() -> None:
    clock = Clock()
    clock.advance(12.5)
    nonces = series(clock)
    nonce = nonces.issue()
    clock.advance(100)
    assert len(nonce) == NONCE_LENGTH < 100
    assert nonces.issued(nonce) == 12_500_000


def test_no_nonce_is_issued_twice() -> None:
    clock = Clock()
    nonces = series(clock)
    issued = [nonces.issue() for _ in range(1000)]
    clock.advance(-0.5)
    issued += [nonces.issue() for _ in range(1000)]
    assert len(set(issued)) == 2000
    assert sorted(issued) == issued


def test_a_clock_that_was_set_back_is_followed() -> None:
    clock = Clock()
    clock.advance(3600)
    nonces = series(clock)
    nonces.issue()
    clock.advance(-1800)
    assert nonces.issued(nonces.issue()) == 1_800_000_000


@pytest.mark.parametrize(
    "other",
    [{"realm": "R"}, {"algorithm": "SHA-256"}, {"algorithm": "MD5-sess"}, {"secret": bytes(32)}],
    ids=str,
)
def test_a_nonce_is_bound_to_realm_algorithm_and_secret(other: dict[str, str]) -> None:
    clock = Clock()
    assert series(clock, **other).issued(series(clock).issue()) == FOREIGN  # type: ignore[arg-type]


@given(place=st.integers(0, NONCE_LENGTH - 1), character=st.characters())
def test_any_changed_character_makes_it_foreign(place: int, character: str) -> None:
    nonces = series(Clock())
    nonce = nonces.issue()
    changed = nonce[:place] + character + nonce[place + 1 :]
    assert (nonces.issued(changed) == FOREIGN) == (changed != nonce)


@given(st.text() | st.text(alphabet="0123456789abcdef", min_size=42, max_size=42))
def test_any_text_is_foreign(text: str) -> None:
    assert series(Clock()).issued(text) == FOREIGN


def test_octets_beyond_utf8_are_foreign() -> None:
    assert series(Clock()).issued("\udce4" * NONCE_LENGTH) == FOREIGN


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError):
        series(Clock(), secret=b"short")
