"""What a load generator has done: the same words for all of them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Load"]


class Load(NamedTuple):
    """One run of a load generator."""

    operations: int
    """Those that went as they should."""
    failed: int
    again: int
    """Retransmissions, which the server has to answer as well and nobody counts."""
    resumed: int
    """Connections that took up an earlier TLS session."""
    seconds: float
    """From the first operation to the last."""
    generator: float
    """Seconds of CPU of the generator."""
    server: float
    """Seconds of CPU of the server meanwhile."""
