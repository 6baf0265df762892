from __future__ import annotations

from sipframe.registrar.turns import IDLE, Turns


class Job:
    """A turn that ends at once, or when the test says so."""

    def __init__(
        self, name: str, turns: Turns, log: list[str], aor: str = "sip:a@x", *, waits: bool = False
    ) -> None:
        self.aor = aor
        self.turn = IDLE
        self.name = name
        self._turns = turns
        self._log = log
        self._waits = waits

    def take(self) -> None:
        self._log.append(self.name)
        if not self._waits:
            self._turns.end(self)


def test_who_waits_for_nothing_leaves_nothing() -> None:
    log: list[str] = []
    turns = Turns(1)
    for name in "abc":
        assert turns.wait(Job(name, turns, log))
    assert log == ["a", "b", "c"]
    assert turns._by_aor == {}


def test_in_the_order_they_asked() -> None:
    log: list[str] = []
    turns = Turns(3)
    first, third = Job("first", turns, log, waits=True), Job("third", turns, log, waits=True)
    for one in (first, Job("second", turns, log), third, Job("fourth", turns, log)):
        assert turns.wait(one)
    assert not turns.wait(Job("too many", turns, log))
    assert turns.wait(Job("another AOR", turns, log, "sip:b@x"))
    assert log == ["first", "another AOR"]
    turns.end(first)
    assert log == ["first", "another AOR", "second", "third"]
    turns.end(third)
    assert log[4:] == ["fourth"]
    assert turns._by_aor == {}
