"""What a seed says: who is there, what the network is like, and what is going to happen when.

Rules: a scenario is data, made before anything runs, and follows from the seed alone. It says what is tried; whether it
can be done at that moment (a phone that has no connection cannot hang up) is for the world to see. Times are seconds.

A run is some days: **busy** minutes, in which phones do whatever phones do while things break, and **quiet** hours
between them, in which they only refresh their registrations.
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal, NamedTuple

import attrs

from sipframe.testing import Delay

__all__ = ["CALM", "DOMAINS", "WEATHERS", "Happening", "PhonePlan", "Scenario", "Weather"]

DOMAINS: Final = ("example.com", "example.net")
_USERS: Final = ("alice", "bob", "carol", "dave")
_HOUR: Final = 3_600.0
_LEAST_QUIET: Final = 900.0


class Weather(NamedTuple):
    """What becomes of datagrams on their way; how long anything takes."""

    name: str
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: Delay = 0.0


CALM: Final = Weather("calm")
WEATHERS: Final = (
    CALM,
    Weather("fair", 0.01, 0.01, 0.01, (0.005, 0.03)),
    Weather("windy", 0.05, 0.05, 0.05, (0.01, 0.15)),
    Weather("rough", 0.15, 0.1, 0.2, (0.02, 0.6)),
)


class PhonePlan(NamedTuple):
    """One phone. ``proof`` is what it knows: the password, a wrong one, or none at all."""

    user: str
    domain: str
    transport: Literal["udp", "tcp", "tls"]
    expires: int
    proof: Literal["right", "wrong", "none"]


class Happening(NamedTuple):
    """Something that is tried. ``what`` names a method of the world; ``who`` and ``whom`` count phones or servers."""

    at: float
    what: str
    who: int = 0
    whom: int = 0
    amount: float = 0.0
    """Seconds as a rule: how long it lasts, or how long until the next thing."""

    def __str__(self) -> str:
        return f"{self.at:11.3f} s  {self.what} {self.who} {self.whom} {self.amount:g}"


_PHONES_DO: Final = {
    "call": 30,
    "register": 20,
    "unregister": 5,
    "unregister_all": 2,
    "drop_connection": 6,
    "fall_silent": 3,
    "reboot": 2,
    "ask": 6,
    "write": 6,
    "say_garbage": 6,
    "send_last_again": 4,
    "replay": 2,
    "register_strangely": 4,
}
"""What a phone may do, and how often beside the rest."""

_THINGS_BREAK: Final = {
    "crash": 8,
    "restart": 2,
    "reload": 5,
    "step_clock": 3,
    "source_suffers": 5,
    "store_suffers": 5,
    "policy_suffers": 4,
    "disk_suffers": 10,
    "network_is_out": 3,
    "weather_turns": 4,
}
"""What may befall a server or the network."""


@attrs.frozen
class Scenario:
    """All that a seed says."""

    seed: int
    store: Literal["sqlite", "memory"]
    servers: int
    weather: Weather
    expire_every: float
    """How often the servers forget what has expired."""
    phones: tuple[PhonePlan, ...]
    happenings: tuple[Happening, ...]
    """In their order."""
    ends_at: float

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """The scenario of ``seed``."""
        chance = Random(f"{seed}/scenario")
        servers = chance.choice((1, 1, 2))
        phones = _phones(chance, servers)
        happenings: list[Happening] = []
        now = 0.0
        for _ in range(chance.randint(2, 4)):
            minutes = chance.uniform(60.0, 900.0)
            happenings.append(Happening(now, "wake"))
            happenings.append(Happening(now + minutes + 60.0, "rest"))
            happenings += _busy(chance, now, minutes, len(phones), servers)
            # Longer than the longest call, so that each busy time can be judged by itself.
            now += minutes + _LEAST_QUIET + chance.choice((0.0, 6 * _HOUR, 24 * _HOUR, 72 * _HOUR))
        return cls(
            seed=seed,
            store=chance.choice(("sqlite", "sqlite", "memory")),
            servers=servers,
            weather=chance.choice(WEATHERS),
            expire_every=chance.choice((20.0, 300.0, 300.0)),
            phones=phones,
            happenings=tuple(sorted(happenings)),
            ends_at=now,
        )

    @property
    def hours(self) -> float:
        """How long it takes in the world, without the end that each has."""
        return self.ends_at / 3_600.0

    def text(self) -> str:
        """For a reader."""
        servers = "1 server" if self.servers == 1 else f"{self.servers} servers"
        head = f"seed {self.seed}: {servers} with the {self.store} store, {self.weather.name} weather"
        lines = [
            f"{head}, {self.hours:.1f} hours",
            *[f"  phone {number}: {' '.join(map(str, plan))}" for number, plan in enumerate(self.phones)],
            *[f"  {one}" for one in self.happenings],
        ]
        return "\n".join(lines)


def _phones(chance: Random, servers: int) -> tuple[PhonePlan, ...]:
    found: list[PhonePlan] = []
    for number in range(chance.randint(3, 6)):
        found.append(
            PhonePlan(
                # The fifth and the sixth are second phones of somebody.
                _USERS[number % len(_USERS)],
                DOMAINS[number % servers],
                chance.choice(("udp", "udp", "tcp", "tls")),
                chance.choice((60, 600, 3_600, 36_000, 86_400, 86_400)),
                "right",
            )
        )
    for proof in chance.sample(("wrong", "none"), chance.randint(0, 2)):
        assert proof in ("wrong", "none")
        found.append(
            PhonePlan(
                chance.choice(_USERS),
                chance.choice(DOMAINS[:servers]),
                chance.choice(("udp", "tcp")),
                600,
                "wrong" if proof == "wrong" else "none",
            )
        )
    return tuple(found)


def _busy(chance: Random, begins: float, seconds: float, phones: int, servers: int) -> list[Happening]:
    found: list[Happening] = []
    now = begins
    pace = chance.choice((2.0, 5.0, 20.0))
    while (now := now + chance.expovariate(1.0 / pace)) < begins + seconds:
        [what] = chance.choices([*_PHONES_DO], [*_PHONES_DO.values()])
        who, whom = chance.randrange(phones), chance.randrange(phones)
        found.append(Happening(now, what, who, whom, chance.expovariate(1.0 / 10.0)))
    for _ in range(chance.choice((0, 2, 4, 8))):
        [what] = chance.choices([*_THINGS_BREAK], [*_THINGS_BREAK.values()])
        at = begins + chance.random() * seconds
        found.append(Happening(at, what, chance.randrange(servers), chance.randrange(100), _lasting(chance)))
    return found


def _lasting(chance: Random) -> float:
    """Mostly seconds, now and then minutes."""
    return min(chance.expovariate(1.0 / chance.choice((0.3, 5.0, 30.0))), 120.0)
