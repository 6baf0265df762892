"""One server of a simulation, with its disk, its plug-ins and its clock, and what may befall it.

Rules: a crash loses whatever is not on the disk. A store is opened anew by each start, the plug-ins stay the same
objects. When something is over that had befallen it, all is well again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs

from sipframe.location import MemoryStore
from sipframe.testing import Network, Server, Users
from sipframe.verdicts import Terms
from tests.simulator.faults import MOODS, Disk, FicklePolicy, FickleSource, FickleStore, Moody
from tests.simulator.promises import Promises, WallClock
from tests.simulator.scenario import DOMAINS, Scenario

__all__ = ["PASSWORD", "Site"]

PASSWORD: Final = "zanzibar"
_TERMS: Final = (
    Terms(max_expires=86_400),
    Terms(min_expires=30, max_expires=40_000),
    Terms(max_expires=86_400, max_contacts=20),
)
_STEPS: Final = (1.0, -1.0, 30.0, -30.0, 900.0, -900.0, 7_300.0, -7_300.0, 86_400.0, -86_400.0)
_BREAKER: Final = 15.0
_POLICY_METHODS: Final = ("admit", "registration", "route")


class Site:
    """The server of a domain. ``broken`` is told what goes wrong."""

    def __init__(
        self,
        scenario: Scenario,
        number: int,
        network: Network,
        folder: Path,
        broken: Callable[[str, str], None],
    ) -> None:
        self.domain = DOMAINS[number]
        host = f"192.0.2.{number + 1}"
        chance = Random(f"{scenario.seed}/site {number}")
        users = Users(dict.fromkeys({plan.user: 0 for plan in scenario.phones}, PASSWORD))
        self.source = FickleSource(chance, users)
        self.store = FickleStore(chance)
        self.policy = FicklePolicy(chance)
        self.disk = (
            Disk(network.timeline, folder / f"{self.domain}.sqlite") if scenario.store == "sqlite" else None
        )
        self.server = Server(
            credentials=self.source,
            location=self.store,
            policies=[self.policy],
            network=network,
            host=host,
            domains=(self.domain,),
            terms=_TERMS[0],
            expire_every=scenario.expire_every,
            certificates_every=86_400.0,
        )
        network.hosts[self.domain] = host
        self.disturbed_at = 0.0
        """When it was last started or ended."""
        self.lives = 0
        self._steady_at = 0.0
        self.up = False
        self._tick = 1.0 if scenario.hours < 2.0 else 30.0
        self._timeline = network.timeline
        self.wall = WallClock(self.server.now, lambda: network.timeline.now)
        least = min(terms.max_expires for terms in _TERMS)
        most = max(terms.max_expires for terms in _TERMS)
        self.promises = Promises(self.wall, lambda: network.timeline.now, least, most, broken)

    # Life.

    def start(self) -> None:
        """Open the store and start the server."""
        server = self.server
        self.store.inner = MemoryStore() if self.disk is None else self.disk.open(server.now())
        server.start()
        # What has to be looked at every second would be most of the work of a quiet day.
        running = server.service._running
        assert running is not None
        running.ground.deadlines._tick = self._tick
        for one in (self.source, self.store, self.policy):
            one.clock = server.reactor
        self.lives += 1
        self._disturbed(up=True)

    def crash(self) -> None:
        """A power cut."""
        self._disturbed(up=False)
        if self.disk is not None:
            self.disk.lose_power()
        self.server.crash()
        if self.disk is None:
            self.promises.forget()

    def stop(self) -> None:
        """What an operator does."""
        self.server.stop()
        self._disturbed(up=False)
        if self.disk is None:
            self.promises.forget()
        elif (closed := self.disk.close()) is not None:
            self.server.wait(closed)

    def close(self) -> None:
        """The end of the run, whatever has come of it."""
        self.server.close()
        if self.disk is not None:
            self.disk.lose_power()
            self.disk.recover()

    def _disturbed(self, *, up: bool) -> None:
        self.up = up
        self.disturbed_at = self._timeline.now

    # What befalls it, each for some time.

    def reload(self, choice: int) -> None:
        """Take other terms into use, without a word to anybody."""
        settings = attrs.evolve(self.server.service.settings, terms=_TERMS[choice % len(_TERMS)])
        self.server.service.reload(settings)

    def step_clock(self, choice: int) -> float:
        """Set the wall clock forward or back; by how much."""
        seconds = _STEPS[choice % len(_STEPS)]
        self.server.step_clock(seconds)
        self.promises.clock_was_set()
        return seconds

    def step_clock_forward(self) -> None:
        """Past the end of every binding that there may be."""
        self.server.step_clock(-10 * min(_STEPS))
        self.promises.clock_was_set()

    def source_suffers(self, choice: int) -> str:
        """The credential source is in some mood."""
        return _put(self.source, choice)

    def store_suffers(self, choice: int) -> str:
        """So is the location store."""
        return _put(self.store, choice)

    def policy_suffers(self, choice: int) -> str:
        """So is one of the policy's methods."""
        self.policy.method = _POLICY_METHODS[choice % 3]
        return f"{self.policy.method} {_put(self.policy, choice // 3)}"

    def disk_suffers(self, choice: int) -> str:
        """The disk is slow, or takes nothing."""
        if self.disk is None:
            return "there is none"
        if choice % 2:
            self.disk.fails()
            return "takes nothing"
        self.disk.latency = (0.01, 0.3, 2.0, 10.0)[choice // 2 % 4]
        return f"takes {self.disk.latency:g} s for each turn"

    def recover(self, what: str) -> None:
        """That is over: ``source``, ``store``, ``policy`` or ``disk``."""
        if what == "disk":
            if self.disk is not None:
                self.disk.recover()
        else:
            moody: Any = getattr(self, what)
            moody.mood = "works"
            self._steady_at = self._timeline.now + _BREAKER

    @property
    def unsteady(self) -> bool:
        """Whether the credential source or the policy is in trouble, or was so recently that it is left alone."""
        moods = {self.source.mood, self.policy.mood}
        return moods != {"works"} or self._timeline.now < self._steady_at

    # What must be so.

    def check(self) -> None:
        """What was promised is in the store."""
        if self.up:
            for aor in self.promises.aors():
                self.promises.check(aor, self.store.inner.lookup(aor).bindings)


def _put(plug_in: Moody, choice: int) -> str:
    plug_in.mood = MOODS[choice % len(MOODS)]
    return plug_in.mood
