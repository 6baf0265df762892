"""The oracles of fuzzing, for a short while: the corpus, and nearly that (``fuzz/run`` takes hours)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.corpus import SEEDS
from fuzz.targets import TARGETS
from sipframe.testing.strategies import mangled, messages, nearly
from tests.tree import ROOT


def test_every_target_has_seeds_and_every_oracle_is_a_target() -> None:
    assert set(SEEDS) == set(TARGETS)
    assert len({target.check for target in TARGETS.values()}) == len(TARGETS)
    for name, target in TARGETS.items():
        found = list(SEEDS[name]())
        assert found
        assert max(map(len, found)) <= max(8_192, target.longest), name


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus(name: str) -> None:
    for data in SEEDS[name]():
        TARGETS[name].check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_nearly_the_corpus(name: str) -> None:
    seeds = list(SEEDS[name]())

    @settings(max_examples=60)
    @given(st.sampled_from(seeds).flatmap(mangled))
    def check(data: bytes) -> None:
        TARGETS[name].check(data)

    check()


@pytest.mark.parametrize("name", ["datagram", "server"])
@settings(max_examples=25)
@given(data=st.one_of(messages(), nearly()))
def test_messages(name: str, data: bytes) -> None:
    TARGETS[name].check(data)


@settings(max_examples=15)
@given(
    data=st.lists(st.one_of(messages(), st.sampled_from([b"\r\n", b"\r\n\r\n"]), nearly()), max_size=4),
    pieces=st.binary(min_size=1, max_size=8),
)
def test_streams(data: list[bytes], pieces: bytes) -> None:
    TARGETS["stream"].check(bytes([len(pieces)]) + pieces + b"".join(data))


def test_the_words_are_a_dictionary() -> None:
    lines = (ROOT / "fuzz" / "words").read_text("ascii").splitlines()
    assert lines[0].startswith("#")
    assert not [line for line in lines[1:] if line[0] != '"' or line[-1] != '"' or len(line) < 3]
