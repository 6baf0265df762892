"""One run of a scenario: servers, phones and a network on one clock, and somebody who looks on.

Rules: everything follows from the seed. What is to be done waits on an agenda and is done between two moments of the
clock, so that it may wait for something itself; whoever looks on looks at each message when it leaves and at each store
when something was done. What is wrong is raised as a :class:`Violation` at the next such moment. In the end everybody
hangs up, nobody refreshes, and after all timers nothing may be left.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from pathlib import Path
from typing import Final

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import implementer

from sipframe.location import LocationError
from sipframe.message import MessageError, Request, Response, parse_message
from sipframe.testing import Network, Passage, Wire
from sipframe.testing.flows import LIMITS
from sipframe.testing.report import decisions_text, ladder_text
from sipframe.testing.server import BEGINNING
from sipframe.verdicts import Unavailable
from tests.simulator.agent import Agent, Since
from tests.simulator.answers import Answers, Life
from tests.simulator.census import census, only_what_is_new
from tests.simulator.faults import SimulatedFault
from tests.simulator.scenario import CALM, WEATHERS, Happening, Scenario, Weather
from tests.simulator.site import Site
from tests.simulator.violation import Violation

__all__ = ["Outcome", "World", "run"]

_LONGEST_CALL: Final = 900.0
_LONGEST_BINDING: Final = 86_500.0
_OF_DISKS: Final = "cannot be committed"
_GOOD: Final = 0.06
"""A network that loses more than this may be to blame for anything."""
_DIARY: Final = 60


class Outcome:
    """What came of a run that found nothing wrong."""

    def __init__(self, world: World) -> None:
        self.seed = world.scenario.seed
        self.hours = world.timeline.now / 3_600.0
        self.passages = world.passages
        self.counted = world.counted
        self.digest = world.digest.hexdigest()
        """Of every octet that went over the network, when, from where and to where."""


def run(seed: int, *, before: Callable[[World], object] | None = None) -> Outcome:
    """Run a scenario; ``before`` may do something to its world first. Raises Violation."""
    with only_what_is_new(), tempfile.TemporaryDirectory(prefix="sipframe-simulator-") as folder:
        return World(Scenario.of(seed), Path(folder)).run(before)


class _Watched(Wire):
    """Tells somebody of everything that is added."""

    def __init__(self, passed: Callable[[Passage], None]) -> None:
        super().__init__(20_000)
        keep = self.add

        def add(passage: Passage) -> None:
            keep(passage)
            passed(passage)

        self.add = add


class World:
    """The world of a scenario. ``folder`` is for its disks."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.network = Network(scenario.seed, wire=_Watched(self._passed))
        self.timeline = self.network.timeline
        self.digest = hashlib.blake2b(digest_size=16)
        self.passages = 0
        self.counted: Counter[str] = Counter()
        self.answers = Answers(lambda: self.timeline.now, self.broken)
        self.sites = [
            Site(scenario, number, self.network, folder, self.broken) for number in range(scenario.servers)
        ]
        self.agents: list[Agent] = []
        self._by_host = {site.server.host: site for site in self.sites}
        self._about = b""
        self._violations: list[Violation] = []
        self._diary: deque[str] = deque(maxlen=_DIARY)
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._entries = count()
        self._rung: set[str] = set()
        self._weather = scenario.weather
        self._out_until = 0.0
        self._bad_until = 0.0
        self._log = _Log(self.broken)

    # For those who take part.

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Have something done in so many seconds."""
        heappush(self._agenda, (self.timeline.now + seconds, next(self._entries), do))

    def broken(self, rule: str, text: str, call_id: str = "") -> None:
        """A rule was broken, over a request with ``call_id`` if it is about one: the run ends at the next moment."""
        if not self._violations:
            self._about = call_id.encode("utf-8", "surrogateescape")
        self._violations.append(Violation(rule, text, self.timeline.now, self.scenario.seed))

    def network_was_good(self, since: float) -> bool:
        """Whether the network has let enough through, all the time since."""
        return self._bad_until < since and self.network.loss < _GOOD

    def call_with(self, call_id: str) -> tuple[Agent, Since] | None:
        """Who has begun the call with a Call-ID that is under way, and since when."""
        for agent in self.agents:
            for call, began in agent.calls.items():
                if any(dialog.call_id == call_id for dialog in call.dialogs):
                    return agent, began
        return None

    # The run.

    def run(self, before: Callable[[World], object] | None = None) -> Outcome:
        """From the start to the end. Raises Violation."""
        globalLogPublisher.addObserver(self._log)
        try:
            self._turn_weather(self._weather)
            for site in self.sites:
                site.start()
            if before is not None:
                before(self)
            at_first = self._count()
            scenario = self.scenario
            self.agents = [
                Agent(self, plan, number, next(site for site in self.sites if site.domain == plan.domain))
                for number, plan in enumerate(scenario.phones)
            ]
            for happening in scenario.happenings:
                self.after(happening.at, partial(self._happen, happening))
            self._pass_time(scenario.ends_at)
            self._end()
            self._compare(at_first, self._count())
            return Outcome(self)
        except Violation:
            raise
        except Exception as error:
            raise self._told(
                Violation(
                    "an exception", f"{type(error).__name__}: {error}", self.timeline.now, self.scenario.seed
                )
            ) from error
        finally:
            globalLogPublisher.removeObserver(self._log)
            for site in self.sites:
                site.close()

    def _pass_time(self, until: float) -> None:
        timeline, agenda = self.timeline, self._agenda
        while True:
            due = agenda[0][0] if agenda else until
            if due <= timeline.now or not timeline.step(min(due, until)):
                if timeline.now >= until:
                    return
                if agenda and agenda[0][0] <= timeline.now:
                    _, _, do = heappop(agenda)
                    do()
                    timeline.settle()
                    for site in self.sites:
                        site.check()
            if self._violations:
                raise self._told(self._violations[0])

    def _told(self, violation: Violation) -> Violation:
        """With its ladder: of one call, if it is about one, else of what went over the network last."""
        network = self.network
        passages = [one for one in network.wire if self._about in one.data]
        names = {**network.servers, **network.phones}
        decisions = [decisions_text(site.server.decisions, BEGINNING) for site in self.sites]
        log = [line for site in self.sites for line in site.server.log]
        parts = [
            "What was done, the newest last:",
            "\n".join(self._diary),
            ladder_text(passages, names, network.servers),
            "What the servers decided, the newest last:",
            *decisions,
            *(["What they logged:", *log[-10:]] if log else []),
            str(violation),
        ]
        return violation.tell("\n\n".join(parts))

    def _happen(self, happening: Happening) -> None:
        what = happening.what
        if hasattr(self, f"_{what}"):
            outcome = getattr(self, f"_{what}")(happening)
        else:
            agent = self.agents[happening.who]
            takes = _TAKES.get(what, "")
            arguments: list[object] = [self.agents[happening.whom]] if "whom" in takes else []
            if "amount" in takes:
                arguments.append(happening.amount)
            outcome = getattr(agent, what)(*arguments)
        if outcome is False:
            return
        self.counted[what] += 1
        self._diary.append(f"{self.timeline.now:11.3f} s  {self._words(happening, outcome)}")

    def _words(self, happening: Happening, outcome: object) -> str:
        what = happening.what.replace("_", " ")
        if isinstance(outcome, str):
            return f"{what}: {outcome}"
        agent = self.agents[happening.who]
        whom = f" {self.agents[happening.whom].name}" if "whom" in _TAKES.get(happening.what, "") else ""
        return f"{agent.name} ({agent.phone.host}): {what}{whom}"

    # What happens to more than one phone.

    def _wake(self, happening: Happening) -> str:
        for agent in self.agents:
            agent.wake()
        return "everybody registers"

    def _rest(self, happening: Happening) -> str:
        for agent in self.agents:
            agent.rest()
        return "quiet hours begin"

    def _crash(self, happening: Happening) -> str | bool:
        site = self.sites[happening.who]
        if not site.up:
            return False
        site.crash()
        self.after(happening.amount, site.start)
        return f"{site.domain}, for {happening.amount:.3f} s"

    def _restart(self, happening: Happening) -> str | bool:
        site = self.sites[happening.who]
        if not site.up:
            return False
        site.stop()
        self.after(happening.amount, site.start)
        return f"{site.domain}, for {happening.amount:.3f} s"

    def _reload(self, happening: Happening) -> str | bool:
        site = self.sites[happening.who]
        if not site.up:
            return False
        site.reload(happening.whom)
        return site.domain

    def _step_clock(self, happening: Happening) -> str:
        site = self.sites[happening.who]
        return f"{site.domain}, by {site.step_clock(happening.whom):+g} s"

    def _source_suffers(self, happening: Happening) -> str:
        return self._suffers(happening, "source")

    def _store_suffers(self, happening: Happening) -> str:
        return self._suffers(happening, "store")

    def _policy_suffers(self, happening: Happening) -> str:
        return self._suffers(happening, "policy")

    def _disk_suffers(self, happening: Happening) -> str:
        return self._suffers(happening, "disk")

    def _suffers(self, happening: Happening, what: str) -> str:
        site = self.sites[happening.who]
        how = getattr(site, f"{what}_suffers")(happening.whom)
        self.after(happening.amount, lambda: site.recover(what))
        return f"{site.domain}, {how}, for {happening.amount:.3f} s"

    def _network_is_out(self, happening: Happening) -> str:
        self._out_until = max(self._out_until, self.timeline.now + happening.amount)
        self._turn_weather(self._weather)
        self.after(happening.amount + 0.001, lambda: self._turn_weather(self._weather))
        return f"for {happening.amount:.3f} s"

    def _weather_turns(self, happening: Happening) -> str:
        self._turn_weather(WEATHERS[happening.whom % len(WEATHERS)])
        return self._weather.name

    def _turn_weather(self, weather: Weather) -> None:
        network, now = self.network, self.timeline.now
        if network.loss >= _GOOD:
            self._bad_until = now
        self._weather = weather
        network.loss = 1.0 if now < self._out_until else weather.loss
        network.duplicate, network.reorder = weather.duplicate, weather.reorder
        network.delay = weather.delay

    # Who looks on.

    def _passed(self, passage: Passage) -> None:
        self.passages += 1
        self.digest.update(repr(passage).encode())
        data = passage.data
        if not data.strip(b"\r\n\0"):
            return
        try:
            message = parse_message(data, LIMITS)
            self._look_at(passage, message)
        except MessageError:
            return  # garbage, or mutilated: nobody is promised anything for that

    def _look_at(self, passage: Passage, message: Request | Response) -> None:
        source, target = passage.source.host, passage.target.host
        from_site, to_site = self._by_host.get(source), self._by_host.get(target)
        if isinstance(message, Request):
            if to_site is not None and from_site is None:
                self.answers.asked(source, message)
                if message.method == "REGISTER":
                    to_site.promises.asked(message)
            elif from_site is not None and to_site is None:
                self._relayed(from_site, target, message)
        elif from_site is not None and to_site is None:
            life = Life(from_site.domain, from_site.lives, from_site.unsteady)
            self.answers.answered(target, life, message, passage.data)
            if message.cseq.method == "REGISTER":
                from_site.promises.answered(message)

    def _relayed(self, site: Site, host: str, request: Request) -> None:
        self.answers.relayed(host, request)
        branch = request.via.branch or ""
        if request.method == "INVITE" and request.to.tag is None and branch not in self._rung:
            self._rung.add(branch)
            site.promises.rung(request)

    # The end.

    def _end(self) -> None:
        """Everything works again, everybody hangs up, and time passes until nothing may be left."""
        self._out_until = 0.0
        self._turn_weather(CALM)
        for site in self.sites:
            for what in ("source", "store", "policy", "disk"):
                site.recover(what)
        for agent in self.agents:
            agent.sleep()
        self._pass_time(self.timeline.now + _LONGEST_CALL)
        for site in self.sites:
            if not site.up:
                site.start()
        self._pass_time(self.timeline.now + _LONGEST_BINDING)
        for site in self.sites:
            # A clock that was set back makes bindings last longer.
            site.step_clock_forward()
            for phone in site.server.phones:
                for flow in phone.flows:
                    flow.close()
        self._pass_time(self.timeline.now + _LONGEST_CALL)
        for site in self.sites:
            self._nothing_is_left(site)
        if self._violations:
            raise self._told(self._violations[0])

    def _nothing_is_left(self, site: Site) -> None:
        service = site.server.service
        if service.transactions():
            self.broken("a transaction without an end", f"{site.domain}: {service.transactions()}")
        if service.proxy_counters is not None and service.proxy_counters.calls_underway:
            self.broken("a call without an end", f"{site.domain}: {service.proxy_counters.calls_underway}")
        phones = dict(site.server._phones.layer.active())
        if phones:
            self.broken("a transaction without an end", f"the phones of {site.domain}: {phones}")
        left = [aor for aor, snapshot in site.store.inner.aors() if snapshot.bindings]
        if left:
            self.broken("binding outlives its expiry", f"{site.domain} still has {', '.join(left)}")

    def _count(self) -> Counter[str]:
        """What there is in memory and on the clocks, when nobody is there who could hold it."""
        timeline = self.timeline
        self.agents.clear()
        self._agenda.clear()
        self.network._losing.clear()
        # What a host had in mind that is not there any more.
        timeline._due[:] = [entry for entry in timeline._due if not entry[2].owner.dead]
        heapify(timeline._due)
        for site in self.sites:
            server = site.server
            for phone in server.phones:
                # Phones remember everything, and connections of theirs that have ended are held here and there.
                for kept in (phone.flows, phone.dialogs, phone.requests, phone.acks, phone.answering):
                    kept.clear()
                phone.last = phone._flow = None
            server.phones.clear()
            server.events.clear()
            server._phones._by_flow.clear()
            for reactor in (server.reactor, server._phones.reactor):
                reactor._connectors[:] = [one for one in reactor._connectors if not one.idle]
            server.service.decisions._kept.clear()
            server.service.decisions._refusals.clear()
        # Until a program says where its log goes, Twisted keeps what was logged, and with it what failed.
        globalLogBeginner._initialBuffer._buffer.clear()
        found = census()
        for site in self.sites:
            for call in site.server.reactor.getDelayedCalls():
                found[f"on the clock of {site.domain}: {repr(call).partition(' at ')[0]}"] += 1
        return found

    def _compare(self, before: Counter[str], after: Counter[str]) -> None:
        more = after - before
        if more:
            what = ", ".join(f"{number} more of {name}" for name, number in sorted(more.items()))
            raise self._told(Violation("memory does not return", what, self.timeline.now, self.scenario.seed))
        if self._violations:
            raise self._told(self._violations[0])


_TAKES: Final = {
    "call": "whom amount",
    "drop_connection": "amount",
    "fall_silent": "amount",
    "reboot": "amount",
    "register_strangely": "amount",
    "ask": "whom",
    "write": "whom",
    "replay": "whom",
}


@implementer(ILogObserver)
class _Log:
    """Looks for exceptions that nobody has made on purpose."""

    def __init__(self, broken: Callable[[str, str], None]) -> None:
        self._broken = broken

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None and failure.check(SimulatedFault, LocationError, Unavailable):
            return
        level = event.get("log_level")
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if failure is None and _OF_DISKS in text:
            return
        if failure is not None or (level is not None and level >= LogLevel.error):
            self._broken("an exception in the log", text)
