from __future__ import annotations

from typing import Any

import attrs
import pytest

from sipframe.auth.settings import DigestSettings


def test_strict_offers_no_md5_and_no_legacy() -> None:
    strict = DigestSettings.strict(nonce_lifetime=60)
    assert not any(name.startswith("MD5") for name in strict.algorithms)
    assert not strict.legacy_without_qop
    assert strict.nonce_lifetime == 60


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": ()},
        {"algorithms": ("SHA-1",)},
        {"algorithms": ("MD5", "MD5")},
        {"qop": ()},
        {"qop": ("auth-conf",)},
        {"nonce_lifetime": 0},
        {"nonce_counts": -1},
        {"nonce_count_window": 0},
        {"opaque": "x" * 64},
        {"opaque": 'a"b'},
        {"opaque": "a\r\nb"},
    ],
    ids=str,
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DigestSettings(**wrong)


def test_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        DigestSettings().userhash = True  # type: ignore[misc]
