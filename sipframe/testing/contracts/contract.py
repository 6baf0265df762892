"""What all contracts share: a place and a clock for each try, waiting for answers, and how many tries.

Rules: a contract is an ordinary class of pytest tests without fixtures. Every try begins with an empty directory and
a reactor of its own. An answer may be a value, a Deferred or a coroutine; whatever a plug-in raises or keeps back
becomes a :class:`~sipframe.testing.contracts.story.ContractBroken` that tells what was asked before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface.exceptions import Invalid
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyObject

from sipframe.events import Events
from sipframe.surroundings import Surroundings
from sipframe.testing.contracts.story import Story
from sipframe.testing.contracts.waiting import HandReactor, NothingLeft, deferred_if_later

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["NOW", "Contract", "close"]

NOW: Final = 1_800_000_000.0
"""When every try begins, in seconds since 1970."""


class Contract:
    """The part of a contract that is the same for every kind of plug-in.

    ``examples`` is how many random tries each property gets; the loaded profile of hypothesis says the rest, such as
    ``derandomize``. ``self.reactor`` is a :class:`~sipframe.testing.contracts.waiting.HandReactor`: give it to a
    plug-in that asks for a reactor, and ``self.reactor.seconds`` to one that asks for a clock.
    """

    examples: int = 25
    reactor: HandReactor

    def pump(self) -> None:
        """Let the next thing happen that a plug-in may wait for; called until it has answered.

        The default makes calls from threads and moves the clock. With a real reactor of your own, which you have
        started by ``startRunning()``, write ``self.mine.iterate(0.01)``. Raises
        :class:`~sipframe.testing.contracts.waiting.NothingLeft` when nothing can come.
        """
        self.reactor.turn()

    def surroundings(self, place: Path, **changes: Any) -> Surroundings:
        """Surroundings for a plug-in that asks for them, with ``place`` as the server's directory."""
        values: dict[str, Any] = {
            "reactor": self.reactor,
            "wall_clock": self.reactor.seconds,
            "entropy": os.urandom,
            "state": place,
            "base": place,
            "domains": ("example.com",),
            "aliases": {},
            "realm": "example.com",
            "events": Events(),
            "credentials": _nothing_else,
            "plug_in": _nothing_else,
        }
        return Surroundings(**{**values, **changes})

    # For the contracts.

    def wait(self, answer: object) -> Any:
        """What ``answer`` is or will be; raises what it fails with, and NothingLeft when it never comes."""
        answer = deferred_if_later(answer)
        if not isinstance(answer, Deferred):
            return answer
        results: list[object] = []
        _ = answer.addBoth(results.append)
        while not results:
            self.pump()
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def asked(self, story: Story, step: int, method: Callable[..., object], *arguments: object) -> Any:
        """Call ``method``, which is told as ``step``, and wait; whatever it raises breaks the contract."""
        try:
            return self.wait(method(*arguments))
        except NothingLeft as error:
            story.never_answered(step, error)
        except Exception as error:
            story.raised(step, error)

    @contextmanager
    def a_try(self) -> Iterator[Path]:
        """A fresh reactor and an empty directory."""
        with TemporaryDirectory(prefix="contract-") as directory:
            self.reactor = HandReactor(NOW)
            try:
                yield Path(directory)
            finally:
                self.reactor.close()

    def verify(self, interface: InterfaceClass, plugin: object) -> None:
        """``plugin`` says that it provides ``interface``, and has its methods with their arguments."""
        story = Story()
        _ = story.tell(f"verifyObject({interface.__name__}, {type(plugin).__name__} object)")
        try:
            verifyObject(interface, plugin)
        except Invalid as error:
            story.broken(f"It provides {interface.__name__}.", str(error), error)

    def nothing_is_left(self, story: Story, plugin: object) -> None:
        """A plug-in that was closed has left nothing on the clock."""
        left = self.reactor.getDelayedCalls()
        if left and hasattr(plugin, "close"):
            names = ", ".join(_name(getattr(one, "func", one)) for one in left)
            story.broken("A plug-in that was closed leaves nothing on the clock.", names)

    def for_all(self, check: Callable[..., None], *strategies: st.SearchStrategy[Any]) -> None:
        """Try ``check`` with values of ``strategies``, and shrink what fails."""
        settings(self._settings())(given(*strategies)(check))()

    def _settings(self, **changes: Any) -> settings:
        return settings(
            max_examples=self.examples,
            deadline=None,
            report_multiple_bugs=False,
            # Not "explain": it takes longer than all the rest, and the steps explain themselves.
            phases=[phase for phase in settings().phases if phase is not Phase.explain],
            suppress_health_check=list(HealthCheck),
            **changes,
        )


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", function))


def _nothing_else(*_: object) -> Any:
    raise ValueError("under a contract a plug-in is alone: give it what it needs")


def close(plugin: object) -> object:
    """Close a plug-in that can be closed (:class:`sipframe.interfaces.ICloseable`); may have to be waited for."""
    close = getattr(plugin, "close", None)
    return None if close is None else close()
