"""Places that have failed, which are tried after all others for a while (RFC 3263 4.3, RFC 3261 21.5.4).

Rules: a place is a transport, an address and a port. Nothing is left out because of what it did: when all have failed
they are tried in their order. No timer: what is over is found out when someone asks. When it is full, the place that
has failed longest ago is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sipframe.message import Response
from sipframe.roads import Hop

__all__ = ["BackOff"]

Place = tuple[str, str, int]


class BackOff:
    """``seconds()`` is a clock that never goes back. A place is remembered for ``usual`` seconds, or for as long as its
    503 has asked for, up to ``longest``; ``most`` places at most.
    """

    def __init__(self, seconds: Callable[[], float], usual: float, longest: float, most: int) -> None:
        self._seconds = seconds
        self._usual = usual
        self._longest = longest
        self._most = most
        self._until: dict[Place, float] = {}  # in the order in which they failed

    def __len__(self) -> int:
        return len(self._until)

    def failed(self, hop: Hop, response: Response | None = None) -> None:
        """``hop`` was silent or could not be reached, or has answered 503."""
        asked = 0.0 if response is None else _retry_after(response)
        duration = max(self._usual, min(asked, self._longest))
        place = hop[:3]
        _ = self._until.pop(place, None)
        if duration > 0:
            while len(self._until) >= self._most:
                del self._until[next(iter(self._until))]
            self._until[place] = self._seconds() + duration

    def order(self, hops: Sequence[Hop]) -> list[Hop]:
        """``hops``, those that have failed behind the others."""
        if not self._until:
            return list(hops)
        now = self._seconds()
        avoided: list[Hop] = []
        ordered: list[Hop] = []
        for hop in hops:
            until = self._until.get(hop[:3])
            if until is not None and until <= now:
                del self._until[hop[:3]]
                until = None
            (ordered if until is None else avoided).append(hop)
        return ordered + avoided


def _retry_after(response: Response) -> float:
    """Seconds, without comment and parameters (RFC 3261 20.33); 0 when there are none."""
    text = (response.first("retry-after") or "").partition(";")[0].partition("(")[0].strip()
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0.0
