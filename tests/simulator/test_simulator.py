"""Whole servers, phones and a network with everything that can happen to them, for thousands of hours; see world.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.simulator.broken import BROKEN
from tests.simulator.scenario import Scenario
from tests.simulator.violation import Violation
from tests.simulator.world import run
from tests.tree import ROOT

MOST_SEEDS = 30
"""So many scenarios are tried with a broken server at the most."""


def test_whatever_happens_what_was_promised_is_kept(seed: int) -> None:
    outcome = run(seed)
    assert outcome.hours > Scenario.of(seed).hours


@pytest.mark.parametrize("name", BROKEN)
def test_a_server_that_is_broken_is_seen_to_be(name: str) -> None:
    broken = BROKEN[name]
    for seed in [broken.seed, *range(1, MOST_SEEDS)]:
        with broken.make():
            found = violation_of(seed)
        if found is not None:
            assert found.rule in broken.rules, str(found)
            return
    raise AssertionError(f"a server that {name} passes all of {MOST_SEEDS} scenarios")


def violation_of(seed: int) -> Violation | None:
    """What a scenario finds."""
    try:
        _ = run(seed)
    except Violation as violation:
        return violation
    return None


def digest_of(seed: int, hash_seed: str) -> str:
    """What went over the network, octet for octet, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulator", "--seed", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"messages, ([0-9a-f]{32})", ran.stdout)
    assert found is not None, ran.stdout
    return found[1]


def test_a_seed_gives_the_same_octets_each_time_and_in_every_process() -> None:
    # A disk, streams, a crash and a stop: there is much that might have an order of its own.
    seed = next(
        seed
        for seed in range(1, 1_000)
        if (scenario := Scenario.of(seed)).store == "sqlite"
        and {"tls", "udp"} <= {plan.transport for plan in scenario.phones}
        and {"crash", "restart", "disk_suffers"} <= {one.what for one in scenario.happenings}
    )
    first = run(seed).digest
    assert first == run(seed).digest
    assert {digest_of(seed, "1"), digest_of(seed, "4000")} == {first}


def test_a_failure_says_how_to_see_it_again_and_what_has_led_to_it() -> None:
    with BROKEN["answers twice"].make(), pytest.raises(Violation) as caught:
        _ = run(1)
    text = "\n".join([str(caught.value), *caught.value.__notes__])
    assert "python -m tests.simulator --seed 1" in text
    assert "pytest tests/simulator --seed=1" in text
    for part in (
        "What was done",
        "everybody registers",
        "What went over the network",
        "500 Oh",
        "What the servers decided",
    ):
        assert part in text
    assert "zanzibar" not in text


def test_a_failure_is_the_same_when_it_is_seen_again() -> None:
    def text() -> list[str]:
        with BROKEN["answers twice"].make(), pytest.raises(Violation) as caught:
            _ = run(2)
        return [str(caught.value), *caught.value.__notes__]

    assert text() == text()


def test_a_plan_can_be_read_without_running_it() -> None:
    plan = Scenario.of(3).text()
    assert plan == Scenario.of(3).text()
    assert re.match(
        r"seed 3: [12] servers? with the (memory|sqlite) store, \w+ weather, [0-9.]+ hours\n", plan
    )
    assert re.search(r"\n +[0-9.]+ s  call [0-9] [0-9] ", plan)
