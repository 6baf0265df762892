"""This server beside Kamailio: CPU microseconds for one operation, by the same load, on the same core, in one run.

Run: python benchmarks/side_by_side.py [-r ROUNDS] [-w WORK,...] [-t SERVER,...] [--seconds SECONDS] [--json FILE].
Kamailio and SIPp are Debian's (kamailio, kamailio-tls-modules, sip-tester); what is missing is left out, and said.
Each run starts one server alone on a core, loads it from the other cores, and counts the CPU time of all its processes.
Rounds are interleaved: each has every work once for every server. Compare the ratios only, and look at the load
average: on a machine that others use, caches and cores are theirs as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import tls_load
from benchmarks.contenders import (
    CONTENDERS,
    USERS,
    Place,
    Server,
    make_accounts,
    make_certificates,
    unused_port,
)
from benchmarks.load import Load
from benchmarks.sipp_load import Sipp, callee
from sipframe.seams import PluginLimits

OURS, THEIRS, SLOW = "sipframe", "kamailio", "sipframe-slow"
_DELAY = 0.05
"""Seconds that a look-up of credentials takes by default in benchmarks/slow_source.py."""
_USUAL_RATE = 4000.0
"""What is taken for that of W1 when W1 is left out."""
_FULL = 0.9
"""The share of its cores from which on a process is taken to have been what limits a run."""


class Bench(NamedTuple):
    """What a work is done with."""

    sipp: Sipp
    server: Server
    seconds: float
    cores: list[int]
    """Those of the generators."""
    rate: float
    """What W1 has come to in the same round: operations a second."""


class Work(NamedTuple):
    """What one operation is, and how it comes about."""

    says: str
    load: Callable[[Bench], Load]
    goal: float = 0.0
    """Our CPU time for an operation, in theirs."""
    with_sipp: bool = True
    certificate: str = "ECDSA"
    settle: float = 0.0
    """Seconds after the load that count as well: what is still to be done for it then."""
    servers: tuple[str, ...] = ()
    """Those that do it; nobody else does."""


def _udp(scenario: str, at_once: int = 64, operations: int = 1) -> Callable[[Bench], Load]:
    return lambda bench: bench.sipp.run(scenario, at_once, seconds=bench.seconds, operations=operations)


def _slow(bench: Bench) -> Load:
    # As many as W1 has at the server, and those who wait for its source meanwhile.
    return bench.sipp.run("register", 64 + round(_DELAY * bench.rate), seconds=bench.seconds)


def _tcp(bench: Bench) -> Load:
    return bench.sipp.run("connection", 64, seconds=bench.seconds, operations=50, transport="tn")


def _call(bench: Bench) -> Load:
    with callee(bench.sipp):
        return bench.sipp.run("call", 32, seconds=bench.seconds)


def _tls(kind: tls_load.Kind, processes: int, phones: int) -> Callable[[Bench], Load]:
    return lambda bench: tls_load.run(
        bench.server.place.tls_port,
        kind,
        bench.seconds,
        meter=bench.server.processor_time,
        cores=bench.cores,
        processes=processes,
        phones=phones,
    )


WORKS = {
    "W1": Work("UDP, new registration (401, 200)", _udp("register"), 3),
    "W1r": Work("UDP, refresh (200)", _udp("refresh", operations=50), 3),
    "W2": Work("TCP, registration, persistent connections", _tcp, 4),
    "W3": Work("TLS, registration, persistent connections", _tls("persistent", 4, 16), 4.5, False),
    "W4e": Work("TLS, new connection and registration, ECDSA", _tls("new", 8, 1), 1.1, False),
    "W4r": Work("TLS, new connection and registration, RSA", _tls("new", 8, 1), 1.0, False, "RSA"),
    "W4s": Work("TLS, resumed session and registration, ECDSA", _tls("resumed", 8, 1), 1.0, False),
    "W6": Work("UDP, call through the proxy", _call, 4, settle=7.0),
    "slow": Work("W1, each look-up of credentials takes 50 ms", _slow, servers=(SLOW,)),
}


class Run(NamedTuple):
    """One server under one load."""

    round: int
    work: str
    server: str
    cost: float
    """CPU microseconds of the server for one operation."""
    rate: float
    """Operations a second."""
    server_busy: float
    """The share of its core that the server had."""
    generator_busy: float
    """The share of its cores that the generator had."""
    operations: int
    failed: int
    again: int
    resumed: int
    load_average: float


def measure(number: int, work: str, name: str, rate: float, given: argparse.Namespace, made: Made) -> Run:
    """Start a server, load it, and stop it. Raises RuntimeError when that cannot be done."""
    folder = Path(tempfile.mkdtemp(prefix=f"{number}-{work}-{name}-", dir=made.folder))
    one = WORKS[work]
    place = Place(folder, made.accounts, *made.certificates[one.certificate], unused_port(), unused_port())
    cores = [core for core in sorted(os.sched_getaffinity(0)) if core != given.core] or [given.core]
    with Server(name, place, given.core) as server:
        sipp = Sipp(
            folder, ",".join(str(core) for core in cores), place.port, unused_port(), server.processor_time
        )
        bench = Bench(sipp, server, given.seconds, cores, rate)
        if one.with_sipp:  # everybody is registered, and known
            _ = sipp.run("register", 64, calls=USERS)
        load = one.load(bench)
        before = server.processor_time()
        time.sleep(one.settle if given.settle is None else given.settle)
        used = load.server + server.processor_time() - before
    if not load.operations:
        raise RuntimeError(f"{work}, {name}: nothing went well\n{server.log[-3000:]}")
    return Run(
        number,
        work,
        name,
        cost=1e6 * used / load.operations,
        rate=load.operations / load.seconds,
        server_busy=load.server / load.seconds,
        generator_busy=load.generator / load.seconds / len(cores),
        operations=load.operations,
        failed=load.failed,
        again=load.again,
        resumed=load.resumed,
        load_average=os.getloadavg()[0],
    )


def measured(
    number: int, work: str, name: str, rate: float, given: argparse.Namespace, made: Made
) -> Run | None:
    """The same; tried once more when it cannot be done, as somebody may have taken a port that was unused."""
    for _ in range(2):
        try:
            return measure(number, work, name, rate, given, made)
        except (RuntimeError, OSError) as error:
            print(f"round {number + 1}: {work} {name}: {error}", file=sys.stderr, flush=True)
    return None


class Made(NamedTuple):
    """What is made once, in ``folder``."""

    folder: Path
    accounts: Path
    certificates: dict[str, tuple[Path, Path]]


def plan(given: argparse.Namespace, number: int = 0) -> Iterator[tuple[str, str]]:
    """The works of a round, each with its servers in turn; who is first is not always first."""
    for work, one in given.works.items():
        servers = one.servers or given.servers
        for name in servers if number % 2 == 0 else reversed(servers):
            yield work, name


def main() -> None:
    """Measure, and print a table."""
    given = arguments()
    for line in given.missing:
        print(line, file=sys.stderr)
    runs: list[Run] = []
    failures = 0
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="side-by-side-")))
        made = Made(folder, make_accounts(folder), make_certificates(folder))
        for number in range(given.rounds):
            rate = _USUAL_RATE
            for work, name in plan(given, number):
                run = measured(number, work, name, rate, given, made)
                if run is None:
                    failures += 1
                    continue
                if (work, name) == ("W1", OURS):
                    rate = run.rate
                runs.append(run)
                print(f"round {number + 1}: {line_of(run)}", file=sys.stderr, flush=True)
    print(table(runs, given))
    print(f"It took {time.monotonic() - began:.0f} s.", file=sys.stderr)
    if given.json is not None:
        given.json.write_text(json.dumps(record(runs, given), indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(failures) or any(run.failed for run in runs))


def line_of(run: Run) -> str:
    """A run in a line, for those who wait."""
    busy = f"server {100 * run.server_busy:.0f} %, generator {100 * run.generator_busy:.0f} % of its cores"
    line = f"{run.work:4} {run.server:13} {run.cost:7.1f} us, {run.rate:6.0f}/s, {busy}, load {run.load_average:.1f}"
    odd = oddities([run])
    return f"{line}, {odd}" if odd else line


def table(runs: list[Run], given: argparse.Namespace) -> str:
    """What has come of it, in Markdown."""
    of: defaultdict[tuple[str, str], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        of[run.work, run.server][run.round] = run
    compared = [name for name in given.servers if name != OURS] if OURS in given.servers else []
    lines = [
        f"CPU microseconds for one operation, medians of {given.rounds} interleaved rounds (least-most).",
        "",
        row("work", *given.servers, *(f"{OURS} / {name}" for name in compared), "goal, a ratio"),
        row("---", *["---:"] * (len(given.servers) + len(compared) + 1)),
    ]
    for work, one in given.works.items():
        doers = {OURS: SLOW} if SLOW in one.servers else {name: name for name in given.servers}
        did = {name: of[work, doers[name]] if name in doers else {} for name in given.servers}
        costs = [spread([run.cost for run in did[name].values()]) for name in given.servers]
        ratios = [spread(paired(did[OURS], did[name], "cost"), 2) for name in compared]
        lines.append(row(f"{work}: {one.says}", *costs, *ratios, one.goal or "-"))
    lines += ["", *rates(of, given), ""]
    shares = [100 * share for share in paired(of["slow", SLOW], of["W1", OURS], "rate")]
    if shares:
        by_cpu = [100 * share for share in paired(of["W1", OURS], of["slow", SLOW], "cost")]
        most = PluginLimits().in_flight
        lines += [
            f"Look-ups of {1000 * _DELAY:.0f} ms: {spread(shares)} % of the throughput of W1; the goal is 80 %.",
            f"By CPU time it is {spread(by_cpu)} %, which others on the machine change less.",
            f"The limit of a plug-in, {most} look-ups in flight, is {most / _DELAY:,.0f} operations/s.",
        ]
    lines.append(f"{os.cpu_count()} cores. {'; '.join(versions().values())}.")
    return "\n".join(lines)


def paired(ours: dict[int, Run], theirs: dict[int, Run], what: str) -> list[float]:
    """The ratio of what was measured, for each round that has both."""
    return [
        getattr(run, what) / getattr(theirs[number], what) for number, run in ours.items() if number in theirs
    ]


def rates(of: Mapping[tuple[str, str], dict[int, Run]], given: argparse.Namespace) -> list[str]:
    """How many operations there were in a second, and who could do no more."""
    lines = [
        row("work", "server", "operations/s", "server", "generator", "limit", "load average", "odd"),
        row("---", "---", *["---:"] * 3, "---", "---:", "---"),
    ]
    for work, name in plan(given):
        runs = list(of[work, name].values())
        if not runs:
            continue
        server, generator = (statistics.median(getattr(run, who) for run in runs) for who in _BUSY)
        limit = (
            "server" if server >= _FULL else "generator" if generator >= _FULL else "other processes, or both"
        )
        lines.append(
            row(
                work,
                name,
                spread([run.rate for run in runs]),
                f"{100 * server:.0f} %",
                f"{100 * generator:.0f} %",
                limit,
                spread([run.load_average for run in runs], 1),
                oddities(runs) or "-",
            )
        )
    return lines


_BUSY = ("server_busy", "generator_busy")


def oddities(runs: Sequence[Run]) -> str:
    """What there was besides operations that went well."""
    counted = {
        "failed": sum(run.failed for run in runs),
        "retransmissions": sum(run.again for run in runs),
        "resumed": sum(run.resumed for run in runs),
    }
    return ", ".join(f"{number} {what}" for what, number in counted.items() if number)


def row(*cells: object) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def spread(values: list[float], places: int | None = None) -> str:
    """The median, and in brackets the least and the most when there are several."""
    if not values:
        return "-"
    middle = statistics.median(values)
    if places is None:
        places = 0 if middle >= 100 else 1
    if len(values) == 1:
        return f"{middle:,.{places}f}"
    return f"{middle:,.{places}f} ({min(values):,.{places}f}-{max(values):,.{places}f})"


def record(runs: list[Run], given: argparse.Namespace) -> dict[str, Any]:
    """All that was measured, for machines."""
    return {
        "versions": versions(),
        "cores": os.cpu_count(),
        "rounds": given.rounds,
        "seconds": given.seconds,
        "settle": given.settle,
        "runs": [run._asdict() for run in runs],
    }


def versions() -> dict[str, str]:
    """What was measured, and with what."""
    found = {"python": f"Python {platform.python_version()}", "system": f"Linux {platform.release()}"}
    for program, option in (("kamailio", "-v"), ("sipp", "-v")):
        if shutil.which(program):
            done = subprocess.run([program, option], capture_output=True, text=True, check=False)
            line = next((line.strip() for line in done.stdout.splitlines() if line.strip()), program)
            found[program] = line.removeprefix("version: ").rstrip(".").strip()
    return found


def arguments() -> argparse.Namespace:
    """Those of the command line, and what can be done of what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-r", "--rounds", type=int, default=3)
    parser.add_argument("-w", "--works", default=",".join(WORKS), help=f"of {', '.join(WORKS)}")
    parser.add_argument(
        "-t",
        "--servers",
        default=f"{THEIRS},{OURS}",
        help=f"of {', '.join(name for name in CONTENDERS if name != SLOW)}",
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each run")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="of the server")
    parser.add_argument(
        "--settle",
        type=float,
        help="seconds after the load that count as well; 33 has the ends of all transactions in it",
    )
    parser.add_argument("--json", type=Path, help="a file for all that was measured")
    given = parser.parse_args()
    works, servers = given.works.split(","), given.servers.split(",")
    for one in {*works} - WORKS.keys() | {*servers} - CONTENDERS.keys():
        parser.error(f"nobody knows {one}")
    given.missing = []
    if not shutil.which("kamailio") and any(name.startswith("kamailio") for name in servers):
        given.missing.append(
            "kamailio is not installed (kamailio, kamailio-tls-modules): sipframe is measured alone"
        )
        servers = [name for name in servers if not name.startswith("kamailio")]
    if not shutil.which("sipp") and any(WORKS[name].with_sipp for name in works):
        given.missing.append("sipp is not installed (sip-tester): only works over TLS are measured")
        works = [name for name in works if not WORKS[name].with_sipp]
    if not servers or not works:
        parser.error(". ".join([*given.missing, "nothing is left to measure"]))
    given.works = {name: WORKS[name] for name in works}
    given.servers = servers
    return given


if __name__ == "__main__":
    main()
