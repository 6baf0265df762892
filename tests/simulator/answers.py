"""What the servers have answered: once, alike each time, and nothing to those who have not proved who they are.

Rules: it knows nothing but what went over the network. An answer belongs to a request by its topmost branch and its
method (RFC 3261 17.1.3), within one life of the server. What is answered without a transaction (RFC 3261 8.2.7, 26.3.3:
challenges, and what policies refuse) is made anew each time, and may say something else; but it never says yes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sipframe.message import Request, Response

__all__ = ["Answers", "Life"]

_UNKEPT: Final = frozenset((400, 401, 403, 407, 420, 481, 482, 483, 500, 503))
"""What a server may say without having kept anything, to a request that is sent again after its answer."""


_REMEMBERED: Final = {"INVITE": 5.0}
"""Seconds after a final answer for which a request that comes again belongs to the same transaction: timer I at least
(T4); it is timer J otherwise."""
_TIMER_J: Final = 31.0


class _Said(NamedTuple):
    at: float
    status: int
    data: bytes


class Life(NamedTuple):
    """One life of a server, from its start to its end."""

    domain: str
    number: int
    unsteady: bool
    """Whether what says who somebody is, or may come in, is in trouble or was just now."""


class Answers:
    """Those of all servers. ``broken`` is told what is wrong."""

    def __init__(self, now: Callable[[], float], broken: Callable[[str, str, str], None]) -> None:
        self._now = now
        self._broken = broken
        self._said: dict[tuple[object, ...], _Said] = {}
        self._proven: set[tuple[str, str]] = set()
        self._in_dialogs: set[tuple[str, str]] = set()
        self.strangers: set[str] = set()
        """Hosts of those who know no password."""
        self.replayed: set[str] = set()
        """The Call-IDs of requests that somebody else has sent as well."""
        self._callers: dict[str, str] = {}
        """Who was the first to send something with a Call-ID: a host."""
        self.mutilated: set[str] = set()
        """Branches of requests that were sent once more, and not as they were."""

    def asked(self, host: str, request: Request) -> None:
        """A phone has sent a request."""
        if host not in self.strangers:
            self._callers[request.call_id] = (
                host  # it may be what somebody else has sent, and its own affair now
            )
        _ = self._callers.setdefault(request.call_id, host)
        if request.all("route"):
            # Whoever has a Route that this server has made for a dialog may speak in it, without a password.
            self._in_dialogs.add((request.via.branch or "", request.method))
        if request.credentials or request.proxy_credentials:
            self._proven.add((request.via.branch or "", request.method))

    def relayed(self, host: str, request: Request) -> None:
        """A server has sent a request to a phone."""
        if request.method == "ACK":
            return  # it cannot be asked for a password (RFC 3261 22.1), and is answered by nobody
        if self._callers.get(request.call_id) in self.strangers:
            self._broken(
                "somebody was let in",
                f"a {request.method} of a phone without the password was relayed to {host}",
                request.call_id,
            )

    def answered(self, host: str, life: Life, response: Response, data: bytes) -> None:
        """A server has answered a phone at ``host``, in one of its lives."""
        status, cseq = response.status, response.cseq
        if status < 200:
            return
        branch = response.via.branch or ""
        guarded = cseq.method in ("REGISTER", "INVITE", "MESSAGE")
        if 200 <= status < 300 and guarded and (branch, cseq.method) not in self._in_dialogs:
            if host in self.strangers:
                self._broken(
                    "somebody was let in",
                    f"{host} knows no password; its {cseq.method} is answered {status}",
                    response.call_id,
                )
            elif (branch, cseq.method) not in self._proven:
                self._broken(
                    "somebody was let in",
                    f"a {cseq.method} without credentials is answered {status}",
                    response.call_id,
                )
        if branch in self.mutilated:
            return
        now = self._now()
        key = (life.domain, life.number, host, branch, cseq.method)
        said = self._said.get(key)
        if said is None or now > said.at + _REMEMBERED.get(cseq.method, _TIMER_J):
            self._said[key] = _Said(now, status, data)
        elif said.data != data and not self._may_differ(said.status, status, branch, cseq.method, life):
            what = f"{said.status}, and then otherwise: {status}"
            self._broken(
                "two final answers", f"{cseq.method} {branch} of {host} is answered {what}", response.call_id
            )

    def _may_differ(self, first: int, second: int, branch: str, method: str, life: Life) -> bool:
        if first < 300 and second < 300:
            return method == "INVITE"  # two phones have answered (RFC 3261 16.7 step 5), or one has again
        if first in (500, 503) and life.unsteady:
            return True  # who asks could not be found out then, and can now
        unkept = first in (401, 407) or (branch, method) not in self._proven
        return unkept and {first, second} <= _UNKEPT
