"""Soak: mixed load on a real server for half an hour, and whether its memory stays where it is.

Run: nice python benchmarks/soak.py [--minutes 30] [--phones 60] [--rate 40] [--location sqlite|memory].
Phones over UDP, TCP and TLS register, refresh, call each other, unregister, and disconnect without a word; the server
reloads twice a minute. It prints resident memory and the number of Python objects once a minute, then what has grown,
and ends with 1 when memory in the last third was not flat within 2 %, when a REGISTER was refused, or when anything had
no answer. A call may fail: phones that vanish leave bindings behind, and are called. Flat: the
medians of the two halves of the last third differ by less, and no sample of it is further from their median than 2 %.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.phones import PASSWORD, NoAnswer, Phone
from benchmarks.serving import Counted, resident
from tests.interop.accounts import import_accounts

TRANSPORTS = ("udp", "tcp", "tls")
FLAT = 0.02
LASTING = 90
"""Seconds: what phones that vanish leave behind is gone soon, and does not fill what one user may have."""


class Soak:
    """The phones, and what has come of what they did."""

    def __init__(self, server: Counted, names: list[str], rate: float, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        addresses = {transport: server.address(transport) for transport in TRANSPORTS}
        self.free = [Phone(name, addresses, server.certificate) for name in names]
        self.phones = list(self.free)
        self.rate = rate
        self.done: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, until: float) -> None:
        """Something every so often, until the monotonic clock says ``until``."""
        while time.monotonic() < until:
            if self.free:
                phone = self.free.pop(self.chance.randrange(len(self.free)))
                task = asyncio.ensure_future(self._use(phone))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(self.chance.expovariate(self.rate))
        await asyncio.gather(*self._tasks)

    async def _use(self, phone: Phone) -> None:
        try:
            await self._act(phone)
        except (NoAnswer, OSError) as error:
            transport = phone.flow.transport if phone.flow else "nothing"
            self.done[f"failed by {transport}: {str(error) or type(error).__name__}"] += 1
            phone.disconnect()
        finally:
            self.free.append(phone)

    async def _act(self, phone: Phone) -> None:
        kind = self.chance.random()
        if phone.flow is None or kind < 0.05:
            transport = self.chance.choice(TRANSPORTS)
            await phone.connect(transport)
            self._note(f"register by {transport}", (await phone.register(LASTING)).status)
        elif kind < 0.1:
            phone.disconnect()
            self.done["disconnect"] += 1
        elif kind < 0.15:
            self._note("unregister", (await phone.register(expires=0)).status)
        elif kind < 0.6:
            self._note("refresh", (await phone.register(LASTING)).status)
        else:
            callee = self.chance.choice(self.phones)
            try:
                response = await phone.call(callee.name, self.chance.uniform(0, 2))
            except NoAnswer as error:
                if str(error) != "nothing came to BYE":
                    raise
                self.done["call, BYE not answered"] += 1  # RFC 4320 4.2: the callee has vanished
                return
            self._note(f"call, last {response.cseq.method}", response.status)

    def _note(self, what: str, status: int) -> None:
        self.done[f"{what}: {status}"] += 1


async def soak(server: Counted, minutes: float, phones: int, rate: float, seed: int) -> bool:
    names = [f"phone{number}" for number in range(phones)]
    running = Soak(server, names, rate, seed)
    began = time.monotonic()
    until = began + minutes * 60
    load = asyncio.ensure_future(running.run(until))
    samples: list[tuple[float, float]] = []
    first: Counter[str] = Counter()
    last: Counter[str] = Counter()
    reloads = 0
    print(
        "| minute | resident, MiB | objects | done | load average |\n|---:|---:|---:|---:|---:|", flush=True
    )
    every = min(10.0, minutes * 2)
    ticks = 0
    while not load.done():
        await asyncio.wait([load], timeout=every)
        ticks += 1
        minute = (time.monotonic() - began) / 60
        samples.append((minute, resident(server.pid)))
        if ticks % 3 == 0:
            server.send_signal(signal.SIGHUP)
            reloads += 1
        if ticks % 6 == 1:
            last = await asyncio.to_thread(server.objects)
            if minute > minutes / 3 and not first:
                first = last
            row = (
                f"{minute:.1f}",
                f"{samples[-1][1]:.2f}",
                last.total(),
                running.done.total(),
                f"{os.getloadavg()[0]:.1f}",
            )
            print("|", " | ".join(str(one) for one in row), "|", flush=True)
    load.result()
    print(
        f"\n{reloads} reloads.", ", ".join(f"{what}, {n} times" for what, n in sorted(running.done.items()))
    )
    grown = [(kind, n - first[kind]) for kind, n in last.items() if n - first[kind] > 20]
    print("Grown since the first third:", sorted(grown, key=lambda one: -one[1])[:20] or "nothing")
    third = [size for minute, size in samples if minute >= minutes * 2 / 3]
    half = len(third) // 2
    middle = statistics.median(third)
    drift = statistics.median(third[half:]) / statistics.median(third[: max(half, 1)]) - 1
    spread = max(abs(one - middle) for one in third) / middle
    print(f"Last third: {middle:.2f} MiB, drift {100 * drift:+.2f} %, furthest sample {100 * spread:.2f} %")
    wrong = [
        what
        for what in running.done
        if what.startswith("failed")
        or ("call" not in what and not what.endswith(": 200") and what != "disconnect")
    ]
    if wrong:
        print("Wrong:", wrong)
    for phone in running.phones:
        phone.disconnect()
    return abs(drift) < FLAT and spread < FLAT and not wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--phones", type=int, default=60)
    parser.add_argument("--rate", type=float, default=40.0, help="things that phones do in a second")
    parser.add_argument("--location", default="sqlite", help="the location store")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        import_accounts(state, {f"phone{number}": PASSWORD for number in range(given.phones)})
        with Counted(state, f"--location={given.location}") as server:
            well = asyncio.run(soak(server, given.minutes, given.phones, given.rate, given.seed))
    sys.exit(not well)


if __name__ == "__main__":
    main()
