"""The target set (RFC 3261 16.5, 16.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.message import SipURI, parse_uri
from sipframe.proxy.targets import HIGHEST_Q, TargetSet, target_of
from sipframe.verdicts import Target
from tests.proxy.messages import target


@pytest.mark.parametrize(
    ("q", "thousandths"),
    [
        (None, HIGHEST_Q),
        ("1", 1000),
        ("1.0", 1000),
        ("0", 0),
        ("0.", 0),
        ("0.5", 500),
        ("0.123", 123),
        ("", HIGHEST_Q),
        ("high", HIGHEST_Q),
        ("1.5", HIGHEST_Q),
        ("0x1", HIGHEST_Q),
        ("0.5.5", HIGHEST_Q),
        ("\u0660", HIGHEST_Q),
    ],
)
def test_q(q: str | None, thousandths: int) -> None:
    found = target_of("sip:a@b", q)
    assert found is not None
    assert found.q == thousandths


@given(st.text(max_size=6))
def test_any_q_is_read(q: str) -> None:
    found = target_of("sip:a@b", q)
    assert found is not None
    assert 0 <= found.q <= HIGHEST_Q


@pytest.mark.parametrize("uri", ["tel:+123", "mailto:a@b.example", "urn:service:sos", "sip:", "", "*"])
def test_what_is_no_sip_uri_is_no_target(uri: str) -> None:
    assert target_of(uri) is None


def test_a_target_keeps_its_path_and_flow() -> None:
    found = target_of("sips:a@b;x=y", "0.2", ("<sip:p;lr>",), "TLS a b 1")
    assert found is not None
    assert (found.uri, found.q, found.path, found.flow) == (
        "sips:a@b;x=y",
        200,
        ("<sip:p;lr>",),
        "TLS a b 1",
    )


def user_of(one: Target) -> str | None:
    uri = parse_uri(one.uri)
    assert isinstance(uri, SipURI)
    return uri.user


def groups(targets: TargetSet) -> list[list[str | None]]:
    found = []
    while targets:
        found.append([user_of(one) for one in targets.next_group()])
    return found


def test_groups_go_by_q() -> None:
    targets = TargetSet(50)
    targets.add_last([target("a", "0.1"), target("b", "0.9"), target("c", "0.1"), target("d")])
    assert groups(targets) == [["d"], ["b"], ["a", "c"]]
    assert targets.next_group() == []


def test_targets_that_come_later_find_their_place() -> None:
    targets = TargetSet(50)
    targets.add_last([target("a", "0.5")])
    targets.add_last([target("b", "0.9"), target("c", "0.5"), target("d", "0.1")])
    assert groups(targets) == [["b"], ["a", "c"], ["d"]]


def test_a_redirection_goes_before_what_waits() -> None:
    targets = TargetSet(50)
    targets.add_last([target("z")])
    targets.add_first(targets.remember([target("a", "0.1"), target("b", "0.2")]))
    assert groups(targets) == [["b"], ["a"], ["z"]]


def test_each_uri_stands_in_it_once() -> None:
    targets = TargetSet(50)
    targets.add_last(
        [target("sip:a@example.com"), target("sip:%61@EXAMPLE.com;x=1"), target("sip:a@example.com:5060")]
    )
    assert groups(targets) == [["a", "a"]]  # a port that is named is another URI (19.1.4)
    targets.add_last([target("SIP:a@example.com", "0.1")])
    assert not targets


def test_there_is_room_for_so_many() -> None:
    targets = TargetSet(2)
    targets.add_last([target(name) for name in "aab"])
    targets.add_last([target("c")])
    assert groups(targets) == [["a", "b"]]
    assert targets.room == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["1", "0.5", "0.2"])), max_size=12))
def test_nothing_is_lost_and_nothing_doubled(pairs: list[tuple[str, str]]) -> None:
    targets = TargetSet(50)
    added: list[Target] = [target(name, q) for name, q in pairs]
    for one in added:
        targets.add_last([one])
    taken = []
    while targets:
        taken.append(targets.next_group())
    names = [user_of(one) for group in taken for one in group]
    assert sorted(names, key=str) == sorted({name for name, _ in pairs})
    qs = [group[0].q for group in taken]
    assert qs == sorted(set(qs), reverse=True)
    assert all(len({one.q for one in group}) == 1 for group in taken)
