"""The published examples, one by one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sipframe.auth import digest

VECTORS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "data" / "vectors.toml").read_text(encoding="utf-8")
)["vector"]


def key(vector: dict[str, Any]) -> str:
    algorithm = digest.ALGORITHMS[vector["algorithm"]]
    ha1 = digest.ha1(algorithm, vector["username"], vector["realm"], vector["password"])
    return digest.session_ha1(algorithm, ha1, vector["nonce"], vector["cnonce"]) if algorithm.session else ha1


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    algorithm = digest.ALGORITHMS[vector["algorithm"]]
    assert key(vector) == vector["ha1"]
    response = digest.response(
        algorithm,
        key(vector),
        vector["method"],
        vector["uri"],
        vector["nonce"],
        vector["nc"],
        vector["cnonce"],
        vector["qop"],
        vector["body"].encode(),
    )
    assert response == vector["response"]
    assert (response == vector["published"]) == vector["published_matches"]
    assert len(response) == algorithm.size
    if "userhash" in vector:
        assert digest.userhash(algorithm, vector["username"], vector["realm"]) == vector["userhash"]
    if "rspauth" in vector:
        proof = digest.rspauth(
            algorithm,
            key(vector),
            vector["uri"],
            vector["nonce"],
            vector["nc"],
            vector["cnonce"],
            vector["qop"],
        )
        assert proof == vector["rspauth"]


def test_octets_that_are_not_utf8_are_hashed_as_they_came() -> None:
    latin = b"J\xe4s\xf8n:r:p"
    name = b"J\xe4s\xf8n".decode("utf-8", "surrogateescape")
    assert digest.ha1(digest.ALGORITHMS["MD5"], name, "r", "p") == digest.ALGORITHMS["MD5"].digest(latin)


def test_an_empty_body_is_the_hash_of_nothing() -> None:
    # RFC 3261 22.4 item 7, RFC 8760 2.6 item 7.
    assert digest.ALGORITHMS["MD5"].digest(b"") == "d41d8cd98f00b204e9800998ecf8427e"
    sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest.ALGORITHMS["SHA-256"].digest(b"") == sha256
