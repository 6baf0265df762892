"""What the stock policies cost: microseconds of CPU for one question, and what a full memory of them weighs.

Constant work: each figure is the best of ROUNDS rounds of COUNT questions, the loop around them taken off. The requests
are parsed, and what the UAS core reads of them has been read. ``admit`` is asked about every request that is no
retransmission, so it is on the path of a flood.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from sipframe.domains import Domains
from sipframe.events import Events
from sipframe.message import Request, parse_message
from sipframe.policy import (
    BackOff,
    BackOffSettings,
    Conditions,
    Deny,
    RateLimit,
    RateLimits,
    RegistrationTerms,
    Shadow,
    TermsChange,
)
from sipframe.seams import Seam
from sipframe.verdicts import Address, Identity, Terms

COUNT = 100_000
ROUNDS = 5
AOR = "sip:bob@example.com"
BOB = Identity("bob", "example.com", frozenset([AOR]))
TERMS = Terms()
DOMAINS = Domains(["example.com"])
PROOF = 'Authorization: Digest username="bob", realm="example.com", nonce="x", uri="sip:example.com", response="y"'


class Flow:
    """As much of a flow as a policy looks at."""

    def __init__(self, host: str, transport: str = "UDP") -> None:
        self.peer = Address(host, 5060)
        self.transport = transport


def register(*fields: str) -> Request:
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1;rport",
        "From: <sip:bob@example.com>;tag=1",
        "To: <sip:bob@example.com>",
        "Call-ID: 843817637684230@998sdasdh09",
        "CSeq: 1826 REGISTER",
        "User-Agent: Phone/1.0",
        *fields,
    ]
    message = parse_message("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
    assert isinstance(message, Request)
    _ = message.uri, message.to.uri
    return message


def seconds(work: Callable[[], None]) -> float:
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def hosts(count: int) -> list[str]:
    return [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(count)]


def admit(name: str, policy: Any, request: Request, flows: list[Flow], step: float = 0.0) -> None:
    """Ask about ``request`` from each of ``flows`` in turn; ``step`` seconds pass between two questions."""
    asked = (flows * (COUNT // len(flows) + 1))[:COUNT]
    clock = CLOCK

    def empty() -> None:
        for _ in asked:
            clock.rightNow += step

    def work() -> None:
        ask = policy.admit
        for flow in asked:
            clock.rightNow += step
            ask(request, flow)

    print(f"{name:62} {(seconds(work) - seconds(empty)) / COUNT * 1e6:6.2f} us")


def registration(name: str, policy: Any) -> None:
    request = register()

    def work() -> None:
        ask = policy.registration
        for _ in range(COUNT):
            ask(request, AOR, BOB, TERMS)

    print(f"{name:62} {seconds(work) / COUNT * 1e6:6.2f} us")


CLOCK = Clock()


def rate_limit(**limits: Any) -> RateLimit:
    return RateLimit(RateLimits(**limits), clock=CLOCK.seconds)


def rate_limits() -> None:
    request = register()
    one, many = [Flow("10.0.0.1")], [Flow(host) for host in hosts(100_000)]
    fast = {"address_rate": 1e6, "address_burst": 1_000_000}
    admit("rate-limit, one source, within its rate", rate_limit(**fast), request, one, 1e-5)
    admit("rate-limit, one source, refused", rate_limit(address_rate=0.01, address_burst=1), request, one)
    admit("rate-limit, one IPv6 source", rate_limit(**fast), request, [Flow("2001:db8::1")], 1e-5)
    admit("rate-limit, 10,000 sources in turn", rate_limit(**fast), request, many[:10_000], 1e-5)
    admit("rate-limit, 100,000 sources in turn, generations turn", rate_limit(), request, many, 2e-4)
    admit("rate-limit, 100,000 sources for 1,000 buckets: shared", rate_limit(most=1000), request, many, 1e-5)
    registration("rate-limit, registration", rate_limit(aor_rate=1e6, aor_burst=1_000_000))


def memory() -> None:
    policy = rate_limit(address_rate=0.001)
    request, flows = register(), [Flow(host) for host in hosts(100_000)]
    tracemalloc.start()
    for flow in flows:
        _ = policy.admit(request, flow)  # type: ignore[arg-type]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{'rate-limit, 100,000 buckets (besides the text of the addresses)':62} {used / 1e6:6.1f} MB")


def back_offs() -> None:
    events = Events()
    settings = BackOffSettings(allowed=1, address_allowed=1000)
    policy = BackOff(settings, reactor=CLOCK, wall_clock=CLOCK.seconds, domains=DOMAINS, events=events)
    plain, proof, flows = register(), register(PROOF), [Flow("10.0.0.1")]
    admit("back-off, nobody is held up", policy, proof, flows)
    peer = Address("10.9.9.9", 1)

    def challenged(reason: str, peer: Address = peer) -> None:
        events.publish("sipframe.registrar.challenged", aor=AOR, peer=peer, call_id="x", reason=reason)

    for _ in range(2):
        challenged("wrong digest")
    admit("back-off, somebody else is held up, no credentials", policy, plain, flows)
    admit("back-off, somebody else is held up, credentials", policy, proof, flows)
    admit("back-off, held up", policy, proof, [Flow("10.9.9.9")])

    def hearing(name: str, publish: Callable[[int], None]) -> None:
        def work() -> None:
            for number in range(COUNT):
                publish(number)

        print(f"{name:62} {seconds(work) / COUNT * 1e6:6.2f} us")

    sources = [Address(host, 1) for host in hosts(COUNT)]
    hearing("back-off, event of a challenge (and the event)", lambda number: challenged("no credentials"))
    hearing(
        "back-off, event of a registration (and the event)",
        lambda number: events.publish(
            "sipframe.registrar.bound", aor=AOR, bindings=(), peer=sources[number], call_id="x"
        ),
    )
    hearing(
        "back-off, event of a failure, 100,000 sources (and the event)",
        lambda number: challenged("wrong digest", sources[number]),
    )


def others() -> None:
    request, flows = register(), [Flow("10.0.0.1")]
    for name, conditions in (
        ("one network", Conditions(network=("192.0.2.0/24",))),
        ("ten networks", Conditions(network=tuple(f"192.0.{n}.0/24" for n in range(10)))),
        ("domain", Conditions(domain=("example.org",))),
        ("three patterns of User-Agent", Conditions(user_agent=("*scanner*", "sipcli*", "*vicious*"))),
        ("method and network", Conditions(method=("REGISTER",), network=("192.0.2.0/24",))),
    ):
        admit(f"deny, {name}", Deny(conditions, domains=DOMAINS), request, flows)
    registration(
        "terms, for a domain", RegistrationTerms(TermsChange(max_expires=600), domain=("example.com",))
    )
    candidate: Any = Deny(Conditions(network=("192.0.2.0/24",)))
    shadow = Shadow(candidate, name="deny", events=Events(), seam=Seam(Clock(), 5.0))
    admit("shadow of deny, one network", shadow, request, flows)


def main() -> None:
    rate_limits()
    back_offs()
    others()
    memory()


if __name__ == "__main__":
    main()
