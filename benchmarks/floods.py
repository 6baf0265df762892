"""Floods on a real server, and how registered phones are served meanwhile.

Run: python benchmarks/floods.py [FLOOD ...] [--seconds 8] [--settle 40] [--json FILE]. FLOOD is a name or part of it.
The server has a core for itself, what floods it and the phones share another one, phones first. It finds out how many
refreshes a second the server can answer at most, then phones over UDP, TCP and TLS refresh at a quarter of that rate
while each flood runs as fast as it can. It prints the times from a phone's wish to its 200, retransmissions included,
and the server's resident memory; it ends with 1 when the 99th percentile was 250 ms or more, when a phone was refused,
or when memory was above its bound or did not come back. Times mean little when the machine has other work: the load
average stands beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.flooding import FLOODS, Addresses, Run, saturate
from benchmarks.phones import PASSWORD, NoAnswer, Phone
from benchmarks.serving import Counted, processor_time, resident
from tests.counters import counters
from tests.interop.accounts import import_accounts
from tests.process import EVERY_TRANSPORT

PHONES = 90
VICTIMS = 8
SLOWEST = 0.250
MOST_MEMORY = 512.0
"""MiB that the server may have at the worst moment of any flood."""
COMES_BACK = 1.5
"""What it may have after all of them, in parts of what it had before."""


class Probe:
    """Phones that refresh at a steady rate, in a process of their own."""

    def __init__(self, addresses: Addresses, trust: Path) -> None:
        self.phones = [Phone(f"phone{number}", addresses, trust) for number in range(PHONES)]
        self.transports = [("udp", "tcp", "tls")[number % 3] for number in range(PHONES)]

    async def connect(self) -> None:
        for phone, transport in zip(self.phones, self.transports, strict=True):
            await phone.connect(transport)
            response = await phone.register()
            assert response.status == 200, response.status

    async def measure(self, rate: float, seconds: float) -> dict[str, Any]:
        """Refresh for so many seconds; the times of those that were answered 200, by transport, and the others."""
        times: dict[str, list[float]] = {"udp": [], "tcp": [], "tls": []}
        wrong: list[str] = []
        free = deque(range(PHONES))
        wished: deque[float] = deque()
        tasks: set[asyncio.Task[None]] = set()

        async def refresh(number: int, wish: float) -> None:
            phone, transport = self.phones[number], self.transports[number]
            try:
                if phone.flow is None or phone.flow.lost.done():
                    wrong.append(f"{transport}: the connection was lost")
                    await asyncio.wait_for(phone.connect(transport), 30)
                status = (await phone.register()).status
                if status == 200:
                    times[transport].append(time.monotonic() - wish)
                else:
                    wrong.append(f"{transport}: {status}")
            except (NoAnswer, OSError, TimeoutError) as error:
                wrong.append(f"{transport}: {str(error) or type(error).__name__}")
                phone.disconnect()
            free.append(number)

        began = time.monotonic()
        due = 0
        while (now := time.monotonic()) < began + seconds or wished:
            while due / rate < min(now - began, seconds):
                wished.append(began + due / rate)
                due += 1
            while wished and free:
                task = asyncio.ensure_future(refresh(free.popleft(), wished.popleft()))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.004)
        if tasks:
            await asyncio.wait(tasks)
        return {"times": times, "wrong": wrong, "wished": due}


def probe(addresses: Addresses, trust: Path, orders: Connection) -> None:
    """The process of the phones: one measurement for each order."""
    _pin(1)

    async def obey() -> None:
        phones = Probe(addresses, trust)
        await phones.connect()
        orders.send("ready")
        while (order := await asyncio.to_thread(orders.recv)) is not None:
            orders.send(await phones.measure(*order))

    asyncio.run(obey())


def flood(name: str, addresses: Addresses, seconds: float, found: Connection) -> None:
    """The process of a flood: it has what the phones leave of their core."""
    _pin(1)
    os.nice(10)
    found.send(FLOODS[name](addresses, Run(found, time.monotonic() + seconds)))


def _pin(core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[min(core, len(cores) - 1)]})


def percentile(times: list[float], part: float) -> float:
    """Milliseconds; ``nan`` of nothing."""
    ordered = sorted(times)
    return 1000 * ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else math.nan


class Floods:
    """One server, the phones, and one flood after the other."""

    def __init__(self, server: Counted, rate: float, orders: Connection) -> None:
        self.server = server
        self.rate = rate
        self.orders = orders
        self.addresses = {one: server.address(one) for one in ("udp", "tcp", "tls")}
        self.rows: list[dict[str, Any]] = []

    def run(self, name: str, seconds: float) -> None:
        """One flood, or the phones alone; prints its row."""
        processes = multiprocessing.get_context("spawn")
        ours, theirs = processes.Pipe()
        running = None
        if name:
            running = processes.Process(
                target=flood, args=(name, self.addresses, seconds + 60, theirs), daemon=True
            )
            running.start()
            assert ours.poll(120), name
            assert ours.recv() == "ready"
        cpu, began = processor_time(self.server.pid), time.monotonic()
        self.orders.send((self.rate, seconds))
        peak = 0.0
        while not self.orders.poll(0.05):
            peak = max(peak, resident(self.server.pid))
        lasted = time.monotonic() - began
        cpu = processor_time(self.server.pid) - cpu
        found = self.orders.recv()
        done = 0
        if running is not None:
            ours.send("stop")
            done = ours.recv() if ours.poll(60) else -1
            running.join(60)
            if running.exitcode is None:
                running.kill()
        times = [one for some in found["times"].values() for one in some]
        row = {
            "flood": name or "none",
            "per second": round(done / lasted),
            "wished": found["wished"],
            "p50": percentile(times, 0.5),
            "p99": percentile(times, 0.99),
            "worst": percentile(times, 1),
            **{f"p99 {one}": percentile(some, 0.99) for one, some in found["times"].items()},
            "wrong": len(found["wrong"]),
            "why": sorted(set(found["wrong"])),
            "memory": peak,
            "after": resident(self.server.pid),
            "core": cpu / lasted,
            "load": os.getloadavg()[0],
        }
        self.rows.append(row)
        each = "/".join(f"{row[f'p99 {one}']:.0f}" for one in ("udp", "tcp", "tls"))
        print(
            f"| {row['flood']} | {row['per second']} | {row['p50']:.0f} | {row['p99']:.0f} ({each}) "
            f"| {row['worst']:.0f} | {row['wrong']} of {row['wished']} "
            f"| {row['memory']:.0f} | {row['after']:.0f} | {100 * row['core']:.0f} "
            f"| {row['load']:.1f} |",
            *row["why"][:3],
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help=", ".join(FLOODS))
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each flood lasts")
    parser.add_argument("--settle", type=float, default=40.0, help="seconds until memory must be back")
    parser.add_argument(
        "--rate", type=float, help="refreshes a second, in place of a quarter of what is possible"
    )
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--option", action="append", default=[], help="one more option of the server")
    given = parser.parse_args()
    chosen = [one for one in FLOODS if not given.floods or any(part in one for part in given.floods)]
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        names = [f"phone{number}" for number in range(PHONES)] + [f"victim{n}" for n in range(VICTIMS)]
        import_accounts(state, dict.fromkeys(names, PASSWORD))
        with Counted(state, *given.option, listen=EVERY_TRANSPORT) as server:
            os.sched_setaffinity(server.pid, {sorted(os.sched_getaffinity(0))[0]})
            addresses: Addresses = {one: server.address(one) for one in ("udp", "tcp", "tls")}
            ours, theirs = processes.Pipe()
            phones = processes.Process(
                target=probe, args=(addresses, server.certificate, theirs), daemon=True
            )
            phones.start()
            assert ours.poll(120)
            assert ours.recv() == "ready"
            most = saturate(addresses["udp"], [f"phone{n}" for n in range(PHONES)], 4.0)
            rate = given.rate or most / 4
            floods = Floods(server, rate, ours)
            before = resident(server.pid)
            print(
                f"At most {most:.0f} refreshes a second; the phones want {rate:.0f}. {before:.0f} MiB before.\n"
            )
            print(
                "| flood | its messages/s | p50, ms | p99 (udp/tcp/tls) | worst | not 200 | MiB | MiB after "
                "| core, % | load |"
            )
            print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
            for name in ["", *chosen]:
                floods.run(name, given.seconds)
            time.sleep(given.settle)
            after = resident(server.pid)
            floods.run("", given.seconds)
            print(
                f"\n{after:.0f} MiB {given.settle:.0f} s after the last flood; {before:.0f} before the first."
            )
            print(json.dumps(counters(server)["transport"]))
            ours.send(None)
            phones.join(10)
            if phones.exitcode is None:
                phones.kill()
            if "Traceback" in server.log or "#error" in server.log:
                print(server.log[-3000:])
    if given.json:
        given.json.write_text(json.dumps(floods.rows, indent=1))
    slow = [row["flood"] for row in floods.rows if not row["p99"] < 1000 * SLOWEST or row["wrong"]]
    large = [row["flood"] for row in floods.rows if row["memory"] > MOST_MEMORY]
    print("Too slow:", ", ".join(slow) or "none", "- too large:", ", ".join(large) or "none")
    sys.exit(bool(slow or large or after > before * COMES_BACK))


if __name__ == "__main__":
    main()
