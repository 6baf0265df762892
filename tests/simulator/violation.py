"""What a run ends with that has found something wrong."""

from __future__ import annotations

__all__ = ["Violation"]


class Violation(AssertionError):
    """A rule was broken. The notes have the story."""

    def __init__(self, rule: str, text: str, at: float, seed: int) -> None:
        again = f"python -m tests.simulator --seed {seed}, or pytest tests/simulator --seed={seed}"
        super().__init__(f"{rule}, at {at:.3f} s of seed {seed}: {text}\n  once more: {again}")
        self.rule = rule
        self.seed = seed

    def tell(self, story: str) -> Violation:
        """Itself, with the story in its notes."""
        self.add_note(f"\n{story}")
        return self
