"""Memory goes back to the system when a flood is over, and only then."""

from __future__ import annotations

from twisted.internet.task import Clock

from sipframe.process import Trimming


def test_memory_is_given_back_when_much_has_gone() -> None:
    clock, held, trimmed = Clock(), [0], []
    trimming = Trimming(clock, lambda: held[0], lambda: trimmed.append(held[0]))
    trimming.start()
    for now in (500, 0, 600, 10_000, 9_000, 5_001, 4_900, 4_000, 100, 2_000, 0):
        held[0] = now
        clock.advance(10.0)
    assert trimmed == [4_900, 100, 0]
    clock.advance(10.0)
    assert trimmed == [4_900, 100, 0, 0]  # every two minutes, whatever has happened
    trimming.stop()
    assert not clock.getDelayedCalls()


def test_the_c_library_is_asked() -> None:
    clock, held = Clock(), [5_000]
    trimming = Trimming(clock, lambda: held[0])
    trimming.start()
    clock.advance(10.0)
    held[0] = 0
    clock.advance(10.0)  # whatever the library is, it goes well
    trimming.stop()
