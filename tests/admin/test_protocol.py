from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.admin.protocol import Malformed, decision_fields, decision_from, decoded, encoded
from sipframe.decisions import Step
from tests.admin.served import decision

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates included


@given(ANY_TEXT, ANY_TEXT)
def test_a_decision_comes_back_whatever_is_in_it(call_id: str, reason: str) -> None:
    sent = decision(call_id, steps=(Step("Some.admit", "Rejected", reason, 0.25),))
    line = encoded({"item": decision_fields(sent)})
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert decision_from(decoded(line)["item"]) == sent


def test_octets_that_are_no_utf_8_come_back() -> None:
    call_id = b"caf\xe9".decode("utf-8", "surrogateescape")
    line = encoded({"item": decision_fields(decision(call_id))})
    assert decision_from(decoded(line)["item"]).call_id.encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_what_a_newer_server_adds_is_passed_over() -> None:
    item = decision_fields(decision())
    item["steps"][0]["colour"] = item["peer"]["name"] = item["more"] = 1
    assert decision_from(item) == decision()


@pytest.mark.parametrize("name", ["call_id", "steps", "peer"])
def test_a_decision_with_less_is_none(name: str) -> None:
    item = decision_fields(decision())
    del item[name]
    with pytest.raises(Malformed):
        decision_from(item)
    with pytest.raises(Malformed):
        decision_from(decision_fields(decision()) | {"steps": [1]})


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"1", b"null", b'"a"', b"\xff", b"[" * 60_000, b"1" * 9_000]
)
def test_what_is_no_object(line: bytes) -> None:
    with pytest.raises(Malformed):
        decoded(line)
