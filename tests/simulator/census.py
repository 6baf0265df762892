"""What there is in memory that belongs to requests, flows and connections.

Rules: it counts objects of sipframe's own types by looking at everything that the garbage collector knows. Left out
are messages and their parts, which are plain values that memos may hold, and what belongs to tests.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["census", "only_what_is_new"]

_ROOMS: Final = (
    "sipframe.auth",
    "sipframe.location",
    "sipframe.proxy",
    "sipframe.registrar",
    "sipframe.seams",
    "sipframe.sending",
    "sipframe.transaction",
    "sipframe.transport",
    "sipframe.uac",
    "sipframe.uas",
)
_CACHES: Final = "sipframe.transport.locating"
"""What name servers have said is remembered for a while, and so much of it at the most."""
_OTHERS: Final = frozenset(("Deferred", "DelayedCall"))


@contextmanager
def only_what_is_new() -> Iterator[None]:
    """Leave out of the counts whatever there is now, which makes them fast."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def census() -> Counter[str]:
    """How many objects there are, by type."""
    gc.collect()
    found: Counter[str] = Counter()
    for one in gc.get_objects():
        kind = type(one)
        module = str(kind.__module__)
        ours = module.startswith(_ROOMS) and not module.startswith(_CACHES)
        if ours or kind.__name__ in _OTHERS:
            found[f"{module}.{kind.__qualname__}"] += 1
    return found
