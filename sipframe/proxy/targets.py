"""The target set: where a request is to go, in groups (RFC 3261 16.5, 16.6).

Rules: a target stands in the set once, whatever became of it: by the equality of URIs, not of text (16.5). Only SIP and
SIPS URIs are targets. Targets with the same q are one group; groups go from the highest q to the lowest (16.6).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from sipframe.message import URI, MessageError, SipURI, equivalent, parse_name_addr, parse_uri
from sipframe.roads import parse_flow_text
from sipframe.verdicts import Routing, Target

__all__ = ["HIGHEST_Q", "Target", "TargetSet", "routing_flaw", "target_of"]

HIGHEST_Q: Final = 1000
"""A q of 1, and what a contact has that names none (RFC 3261 20.10 leaves it open)."""


def target_of(
    uri: str, q: str | None = None, path: tuple[str, ...] = (), flow: str | None = None
) -> Target | None:
    """A contact as a target; None when it is no SIP or SIPS URI, or cannot be read. A malformed q counts as 1."""
    try:
        if not isinstance(parse_uri(uri), SipURI):
            return None
    except MessageError:
        return None
    return Target(uri, _thousandths(q), path, flow)


def routing_flaw(routing: Routing) -> str:
    """Why a routing cannot be followed, in a sentence; empty when it can. Whoever gave it need not have been
    type-checked."""
    targets: object = routing.targets
    if type(targets) is not tuple:
        return "the targets of a Routing are a tuple"
    if not {type(routing.record_route), type(routing.recurse)} <= {bool}:
        return "record_route and recurse are True or False"
    for target in targets:
        flaw = _target_flaw(target)
        if flaw:
            return flaw
    return ""


def _target_flaw(target: object) -> str:
    if type(target) is not Target:
        return "each target is a Target"
    if type(target.uri) is not str or target_of(target.uri) is None:
        return f"the URI of a target is a SIP or SIPS URI, which {target.uri!r} is not"
    if type(target.q) is not int or type(target.secure) is not bool:
        return "the q of a target is a whole number of thousandths, and secure is True or False"
    path: object = target.path
    if type(path) is not tuple or any(type(value) is not str for value in path):
        return "the path of a target is a tuple of texts"
    flow: object = target.flow
    try:
        for value in target.path:
            if not isinstance(parse_name_addr(value).uri, SipURI):
                return f"each value of a path is a SIP URI in angle brackets, which {value!r} is not"
        if flow is not None:
            _ = parse_flow_text(flow if isinstance(flow, str) else "")
    except ValueError as error:  # MessageError too
        return f"path and flow of a target can be read: {error}"
    return ""


def _thousandths(q: str | None) -> int:
    if q is None or not (q[:1] in ("0", "1") and q.replace(".", "", 1).isdecimal() and q.isascii()):
        return HIGHEST_Q
    return min(round(float(q) * HIGHEST_Q), HIGHEST_Q)


class TargetSet:
    """The targets of one request: those that wait, in groups, and the memory of all that ever stood in it."""

    __slots__ = ("_groups", "_known", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: dict[str, URI] = {}
        self._groups: deque[list[Target]] = deque()

    def __bool__(self) -> bool:
        return bool(self._groups)

    @property
    def room(self) -> int:
        """How many more may come to stand in it."""
        return self.most - len(self._known)

    def knows(self, target: Target) -> bool:
        """Whether it stands in the set or has stood in it (RFC 3261 16.5: at most once)."""
        if target.uri in self._known:
            return True
        if not self._known:
            return False
        uri = parse_uri(target.uri)
        return any(equivalent(uri, other) for other in self._known.values())

    def remember(self, targets: Iterable[Target]) -> list[list[Target]]:
        """Take in those that are new, as far as there is room: their groups, the highest q first. None waits yet."""
        groups: dict[int, list[Target]] = {}
        for target in targets:
            if not self.room:
                break
            if not self.knows(target):
                self._known[target.uri] = parse_uri(target.uri)
                groups.setdefault(target.q, []).append(target)
        if len(groups) < 2:
            return list(groups.values())
        return [groups[q] for q in sorted(groups, reverse=True)]

    def add_last(self, targets: Iterable[Target]) -> None:
        """Take in those that are new; they wait behind the others of their q and before those of a lower one."""
        for group in self.remember(targets):
            q = group[0].q
            for position, other in enumerate(self._groups):
                if other[0].q == q:
                    other.extend(group)
                    break
                if other[0].q < q:
                    self._groups.insert(position, group)
                    break
            else:
                self._groups.append(group)

    def add_first(self, groups: list[list[Target]]) -> None:
        """Let ``groups`` wait before all others: the alternatives to a branch that was redirected."""
        self._groups.extendleft(reversed(groups))

    def next_group(self) -> list[Target]:
        """Take out the group whose turn it is; empty when none waits."""
        return self._groups.popleft() if self._groups else []
