"""What a plug-in was asked and what it answered, for whoever has to find out which rule it broke.

Rules: a broken contract is one exception, :class:`ContractBroken`. Its text is the rule in a sentence, then every
step in order, one line each, then what was expected where that is not plain. Long values are cut in the text only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["ContractBroken", "Story", "cut"]

_LONGEST: Final = 160


class ContractBroken(AssertionError):
    """A plug-in did not keep its contract. ``rule`` says which, ``steps`` how to see it."""

    def __init__(self, rule: str, steps: tuple[str, ...], found: str = "") -> None:
        self.rule = rule
        self.steps = steps
        lines = [f"{number:3}. {step}" for number, step in enumerate(steps, 1)]
        super().__init__("\n".join([rule, *lines, *([found] if found else [])]))


class Story:
    """The steps so far."""

    def __init__(self) -> None:
        self._steps: list[str] = []
        self.error: ContractBroken | None = None
        """How it ended, if it was broken off."""

    def tell(self, step: str) -> int:
        """Add a step; the result is its number, for :meth:`answered`."""
        self._steps.append(step)
        return len(self._steps) - 1

    def answered(self, step: int, answer: object) -> None:
        """Say what came of a step."""
        self._steps[step] += f" -> {answer if isinstance(answer, str) else cut(answer)}"

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Steps that are only of interest when they break the contract."""
        before = len(self._steps)
        yield
        del self._steps[before:]

    def never_answered(self, step: int, cause: BaseException | None = None) -> NoReturn:
        """A call that nothing can answer any more."""
        self.answered(step, "never answered")
        self.broken("Every call is answered in the end.", cause=cause)

    def raised(self, step: int, error: BaseException) -> NoReturn:
        """A call that raised where there was an answer to give."""
        self.answered(step, f"raised {cut(error)}")
        self.broken("What can be answered is answered, not raised.", cause=error)

    def broken(self, rule: str, found: str = "", cause: BaseException | None = None) -> NoReturn:
        """Raise the ContractBroken that this story ends with."""
        self.error = ContractBroken(rule, tuple(self._steps), found)
        raise self.error from cause


def cut(value: object) -> str:
    """The repr of a value, its middle left out when it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:100]} ... {text[-40:]}"
