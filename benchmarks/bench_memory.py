"""Memory that a registered phone costs: octets for one binding, everything included, once its transactions are gone.

    python benchmarks/bench_memory.py [PHONES]

The whole server in memory takes the registrations of so many phones (20,000 unless told otherwise), fifty in each
second of its clock. A quarter come first and are not counted: by then caches are full, and as many transactions are
there as there will ever be. What is divided is the growth of the process (proportional set size), so allocators count.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bench_server
from bench_server import SOURCE, register
from instructions import signed

PER_SECOND = 50


class Phones:
    """Registers one phone after the other."""

    def __init__(self) -> None:
        self._endpoint, self._wire, self.clock = bench_server.server()
        self._number = 0

    def come(self, first: int, last: int) -> None:
        for second in range(first, last, PER_SECOND):
            phones = range(second, min(second + PER_SECOND, last))
            self._send([register(phone, self._number + phone) for phone in phones])
            nonces = [answer.split(b'nonce="')[1].split(b'"')[0].decode() for answer in self._wire.sent]
            self._number += last
            self._send(
                [
                    signed(phone, self._number + phone, nonce)
                    for phone, nonce in zip(phones, nonces, strict=True)
                ]
            )
            self._number += last
            assert all(answer.startswith(b"SIP/2.0 200") for answer in self._wire.sent)
            self.clock.advance(1)
        self._wire.sent.clear()

    def _send(self, datagrams: list[bytes]) -> None:
        self._wire.sent.clear()
        for datagram in datagrams:
            self._endpoint.datagramReceived(datagram, SOURCE)


def octets() -> int:
    """What the process has, shared pages by halves."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not say")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    bench_server.MOST_USERS = count
    phones = Phones()
    phones.come(0, count // 4)
    phones.clock.advance(40)
    gc.collect()
    before = octets()
    phones.come(count // 4, count)
    phones.clock.advance(40)
    gc.collect()
    print(f"octets for one binding: {(octets() - before) / (count - count // 4):.0f}")


if __name__ == "__main__":
    main()
