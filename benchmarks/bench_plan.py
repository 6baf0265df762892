"""What the registrar's plan costs: microseconds of CPU per REGISTER, from the parsed request to the Contact lines.

Constant work: each figure is the best of ROUNDS rounds of COUNT REGISTERs. The requests are parsed and their common
fields read before, as the UAS core has done when the registrar gets them. Nothing is asked and nothing is stored: what
is measured is reading the registration, the plan, the Contact lines, and what a seam costs per answer.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sipframe.message import Request, parse_message
from sipframe.registrar import Plan, contact_lines, plan, registration_of
from sipframe.seams import Seam
from sipframe.verdicts import Binding, Terms

COUNT = 20_000
ROUNDS = 5
NOW = 1_700_000_000.0
TERMS = Terms()
FLOW = "UDP 192.0.2.1:5060 192.0.2.7:5062 1"


def register(contact: str | None) -> Request:
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1;rport",
        "Max-Forwards: 70",
        "From: <sip:bob@example.com>;tag=1",
        "To: <sip:bob@example.com>",
        "Call-ID: 843817637684230@998sdasdh09",
        "CSeq: 1826 REGISTER",
        "User-Agent: Phone/1.0",
        *([] if contact is None else [f"Contact: {contact}"]),
        "Content-Length: 0",
    ]
    message = parse_message("\r\n".join([*lines, "", ""]).encode())
    assert isinstance(message, Request)
    _ = message.contacts, message.cseq, message.call_id, message.expires
    return message


def bindings(count: int) -> tuple[Binding, ...]:
    return tuple(
        Binding(f"sip:bob@192.0.2.{n}:5062;transport=udp", NOW + 600 + n, "x@y", 1, NOW, "0.5")
        for n in range(count)
    )


def best(name: str, work: Callable[[], None]) -> None:
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        begin = time.process_time()
        work()
        times.append((time.process_time() - begin) / COUNT * 1e6)
    print(f"{name:58} {min(times):6.2f} us")


def reading(contact: str | None) -> Callable[[], None]:
    request = register(contact)

    def work() -> None:
        for _ in range(COUNT):
            _ = registration_of(request, FLOW)

    return work


def planning(contact: str | None, current: tuple[Binding, ...], changed: bool) -> Callable[[], None]:
    asked = registration_of(register(contact), FLOW)
    found = plan(asked, current, TERMS, NOW)
    assert isinstance(found, Plan)
    assert found.changed is changed

    def work() -> None:
        for _ in range(COUNT):
            _ = plan(asked, current, TERMS, NOW)

    return work


def listing(current: tuple[Binding, ...]) -> Callable[[], None]:
    def work() -> None:
        for _ in range(COUNT):
            _ = contact_lines(current, NOW)

    return work


def asking(answer: Callable[[], object]) -> Callable[[], None]:
    seam = Seam(Clock(), 5.0)

    def ignore(*_: object) -> None: ...

    def work() -> None:
        for _ in range(COUNT):
            seam.ask(answer, (), None, ignore, ignore)

    return work


def asking_with_a_wait() -> Callable[[], None]:
    seam = Seam(Clock(), 5.0)
    waiting: list[Deferred[object]] = []

    def answer() -> Deferred[object]:
        one: Deferred[object] = Deferred()
        waiting.append(one)
        return one

    def ignore(*_: object) -> None: ...

    def work() -> None:
        for _ in range(COUNT):
            seam.ask(answer, (), None, ignore, ignore)
            waiting.pop().callback(True)

    return work


def main() -> None:
    mine = "<sip:bob@192.0.2.0:5062;transport=udp>;expires=3600"
    last = "<sip:bob@192.0.2.9:5062;transport=udp>;expires=3600"
    rich = '<sip:bob@192.0.2.0:5062>;expires=3600;q=0.5;+sip.instance="<urn:uuid:1>";reg-id=1'
    best("registration_of, one contact", reading(mine))
    best("registration_of, instance-id, reg-id and q", reading(rich))
    best("registration_of, fetch", reading(None))
    best("plan, new binding", planning(mine, (), changed=True))
    best("plan, new binding, instance-id, reg-id and q", planning(rich, (), changed=True))
    best("plan, refresh of the only binding", planning(mine, bindings(1), changed=True))
    best("plan, refresh of the last of 10", planning(last, bindings(10), changed=True))
    best("plan, fetch of 1", planning(None, bindings(1), changed=False))
    best("plan, fetch of 10", planning(None, bindings(10), changed=False))
    best("contact_lines of 1", listing(bindings(1)))
    best("contact_lines of 10", listing(bindings(10)))
    best("seam, the answer is there", asking(lambda: True))
    best("seam, a Deferred that fires later (and the Deferred)", asking_with_a_wait())


if __name__ == "__main__":
    main()
