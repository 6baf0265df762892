"""Every check passes a registrar that is right, and finds out one that is broken by what the check is for."""

from __future__ import annotations

import pytest

from sipframe.checking import CHECKS, Outcome, chosen
from tests.checking.broken import BROKEN, STREAM_BROKEN
from tests.checking.toy import StreamToy, Toy, checked

UDP = [one.id for one in CHECKS if "UDP" in one.transports]
TCP = [one.id for one in CHECKS if "TCP" in one.transports and "UDP" not in one.transports]


@pytest.mark.parametrize(("toy", "transport"), [(Toy, "UDP"), (StreamToy, "TCP")])
def test_a_registrar_that_is_right_passes_them_all(toy: type[Toy], transport: str) -> None:
    report = checked(toy(), CHECKS, transport)
    assert {one.check.id: one.reason for one in report.results if one.outcome is Outcome.FAILED} == {}
    assert report.conforms
    assert report.warnings == ()
    assert report.points[0] == report.points[1] > 150


def test_every_check_has_a_registrar_that_it_finds_out() -> None:
    assert sorted(BROKEN) == sorted(UDP)
    assert sorted(STREAM_BROKEN) == sorted(TCP)


@pytest.mark.parametrize("name", UDP)
def test_a_registrar_that_is_broken_is_found_out(name: str) -> None:
    [result] = checked(BROKEN[name](), chosen([name])).results
    assert result.outcome is Outcome.FAILED
    assert result.reason
    assert not result.reason.startswith("the check cannot make sense of it")
    assert result.trace


@pytest.mark.parametrize("name", TCP)
def test_a_registrar_whose_streams_are_broken_is_found_out(name: str) -> None:
    [result] = checked(STREAM_BROKEN[name](), chosen([name]), "TCP").results
    assert result.outcome is Outcome.FAILED
    assert not result.reason.startswith("the check cannot make sense of it")
