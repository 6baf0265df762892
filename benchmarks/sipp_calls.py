"""A minute of calls through the proxy: SIPp's own uac and uas with a real server between them, over UDP and TCP.

Run: python benchmarks/sipp_calls.py [TRANSPORT ...] [--rate CALLS] [--seconds SECONDS]. SIPp is Debian's sip-tester.
A call is INVITE, ACK and BYE, each looked up and forwarded, and four responses. It says how the calls went, what the
server's process has used, and what it still holds when all timers have ended; it fails if a call did.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.counters import counters, until_idle
from tests.interop.sipp_calls import call, serving


def used(pid: int) -> tuple[float, float]:
    """Seconds of CPU and mebibytes of memory that a process has taken (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(transport: str, rate: int, seconds: int) -> None:
    """One server, one run."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        cpu_before, memory_before = used(server.pid)
        done = call(server, Path(folder), transport, rate * seconds, rate)
        cpu_after, memory_after = used(server.pid)
        held: dict[str, Any] = counters(server)["transactions"]
        left = until_idle(server)
        _, memory_left = used(server.pid)
        proxy = left["proxy"]
        print(f"{transport}: {done.placed} calls in {done.lasted:.1f} s, {done.failed} failed")
        print(f"  {done.retransmissions} retransmissions by SIPp, {proxy['acks_dropped']} ACKs dropped")
        cpu = cpu_after - cpu_before
        print(f"  {1e6 * cpu / done.placed:.0f} us of CPU a call ({100 * cpu / done.lasted:.0f} % of a core)")
        print(
            f"  memory: {memory_before:.1f} MiB, {memory_after:.1f} after the last call, {memory_left:.1f} when idle"
        )
        print(
            f"  transactions: {sum(held.values())} soon after the last call, {left['transactions']} when idle"
        )
        if done.failed or done.placed != rate * seconds or proxy["calls_underway"]:
            sys.exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "transports", nargs="*", default=["udp", "tcp"], metavar="TRANSPORT", help="udp or tcp"
    )
    parser.add_argument("--rate", type=int, default=200, help="calls a second")
    parser.add_argument("--seconds", type=int, default=60, help="how long")
    given = parser.parse_args()
    for one in given.transports:
        measure(one, given.rate, given.seconds)
