"""What a contract says about a plug-in that breaks it."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from sipframe.testing.contracts import Contract, ContractBroken

__all__ = ["Told", "rules_of", "told"]


class Told(NamedTuple):
    """The text of a failure: the rule, the steps without their numbers, and what was found."""

    rule: str
    steps: list[str]
    found: str


def told(contract: Contract, test: str) -> Told:
    """Run a test of a contract that fails; with so many examples that it does so whatever the seed."""
    contract.examples = 1000
    with pytest.raises(ContractBroken) as caught:
        getattr(contract, f"test_{test}")()
    rule, *lines = str(caught.value).split("\n")
    steps = [line for line in lines if re.match(r" *\d+\. ", line)]
    return Told(rule, [step.partition(". ")[2] for step in steps], "\n".join(lines[len(steps) :]))


def rules_of(contract: type[Contract]) -> list[str]:
    """The tests of a contract, without ``test_``."""
    return [name.removeprefix("test_") for name in dir(contract) if name.startswith("test_")]
