"""Which histories of compare-and-set can have happened."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.testing.contracts.histories import Read, Write, explained


@pytest.mark.parametrize(
    "history",
    [
        [],
        [Write(0, 1, True, 1, 2), Read(1, 3, 4)],
        [Write(0, 1, True, 1, 9), Write(0, 2, False, 2, 3), Read(1, 4, 5)],
        [Write(0, 1, True, 1, 9), Read(0, 2, 3), Read(1, 4, 5)],
        [Write(0, 1, None, 1), Read(0, 2, 3)],
        [Write(0, 1, None, 1), Read(1, 2, 3)],
        [Write(0, 1, None, 1), Read(0, 2, 3), Read(1, 4, 5)],
        [Write(0, 1, True, 1, 2), Write(1, 2, None, 3), Write(2, 3, True, 4, 5), Read(3, 6, 7)],
        [Write(5, 1, False, 1, 2), Read(0, 3, 4)],
    ],
)
def test_possible(history: list[Read | Write]) -> None:
    assert explained(history)


@pytest.mark.parametrize(
    "history",
    [
        [Read(1, 1, 2)],
        [Write(0, 1, True, 1, 2), Read(0, 3, 4)],
        [Write(0, 1, False, 1, 2), Read(0, 3, 4)],
        [Write(0, 1, True, 1, 2), Write(0, 2, True, 1, 2)],
        [Write(0, 1, True, 1, 9), Write(0, 2, True, 2, 8)],
        [Write(0, 1, None, 1), Read(1, 2, 3), Read(0, 4, 5)],
        [Write(0, 1, None, 5), Read(1, 2, 3)],
        [Write(0, 1, True, 1, 2), Write(1, 2, True, 3, 4), Read(1, 5, 6)],
        [Write(0, 1, None, 1), Write(1, 2, True, 2, 3), Read(1, 4, 5)],
    ],
)
def test_impossible(history: list[Read | Write]) -> None:
    assert not explained(history)


def by_trying(history: list[Read | Write]) -> bool:
    """The definition, by brute force: some order and some choice of what never happened."""

    def follows(order: tuple[Read | Write, ...], happened: set[int]) -> bool:
        state = 0
        for number, one in enumerate(order):
            if any(later.ended < one.begun for later in order[number:]):
                return False
            if isinstance(one, Read):
                if one.state != state:
                    return False
            elif one.done is None and id(one) not in happened:
                continue
            elif (one.expected == state) is (one.done is False):
                return False
            elif one.done is not False:
                state = one.state
        return True

    maybe = [id(one) for one in history if isinstance(one, Write) and one.done is None]
    choices = [
        {one for bit, one in enumerate(maybe) if number >> bit & 1} for number in range(2 ** len(maybe))
    ]
    return any(follows(order, chosen) for order in permutations(history) for chosen in choices)


@st.composite
def histories(draw: st.DrawFn) -> list[Read | Write]:
    found: list[Read | Write] = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        begun = draw(st.integers(0, 9))
        ended = begun + draw(st.integers(0, 6))
        if draw(st.booleans()):
            found.append(Read(draw(st.integers(0, 5)), begun, ended))
        else:
            done = draw(st.sampled_from([True, False, None]))
            one = Write(draw(st.integers(0, 5)), number, done, begun)
            found.append(one if done is None else one._replace(ended=ended))
    return found


@given(histories())
def test_it_agrees_with_the_definition(history: list[Read | Write]) -> None:
    assert explained(history) == by_trying(history)
