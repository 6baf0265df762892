"""Whoever holds one of the phones: registers and refreshes, calls and is called, loses the connection and comes back.

Rules: an agent does what the scenario says when it can, and answers as chance has it, from a seed of its own. It judges
what becomes of its calls: each INVITE has an end, what rings stops ringing, a 2xx gets its ACK; but only where neither
the network nor a crash nor the phone itself has stood in the way.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from sipframe.message import parse_message
from sipframe.testing import Call, Dialog, Exchange, Flow, Incoming, Phone
from tests.simulator.scenario import PhonePlan
from tests.simulator.site import PASSWORD, Site

if TYPE_CHECKING:
    from tests.simulator.world import World

__all__ = ["Agent", "Since"]

_TIMER_F: Final = 32.0
_AFTER_TIMER_C: Final = 240.0
"""Timer C (185 s), then the CANCEL and what comes of it (64*T1), and some."""
_LONGEST_CALL: Final = 2 * _AFTER_TIMER_C
"""First those with the highest q, then those with the only other one that there is."""
_ACKED_WITHIN: Final = 40.0
_LONGEST_PATIENCE: Final = 7_200.0
_QUIET_ENOUGH: Final = 36_000
"""Whoever has to refresh more often than that stops in quiet hours."""
_LOOKS_AT_REST_EVERY: Final = 600.0
_GARBAGE: Final = (
    b"\r\n\r\n",
    b"\0" * 20,
    b"hello\r\n\r\n",
    b"REGISTER sip:example.com SIP/2.0\r\n\r\n",
    b"INVITE sip:alice@example.com SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nContent-Length: 99\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnone\r\nCSeq: 1 INVITE\r\n\r\n",
    b"OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP y\r\nFrom: <sip:a@b>;tag=1\r\nCall-ID: z\r\n\r\n",
)


@attrs.define(eq=False)
class Since:
    """When something began, and by which flow."""

    since: float
    flow: Flow


class Agent:
    """One of the phones."""

    def __init__(self, world: World, plan: PhonePlan, number: int, site: Site) -> None:
        self.plan = plan
        self.name = f"{plan.user} {number}"
        self.site = site
        self.aor = f"sip:{plan.user}@{plan.domain}"
        self.lies = plan.proof != "right"
        self._world = world
        self._chance = Random(f"{world.scenario.seed}/phone {number}")
        self._registering: Exchange | None = None
        self._wanted = False
        self._turn = 0
        self._patience = 60.0
        self._disturbed_at = 0.0
        self._spoiled: set[Flow] = set()
        self._garbled: set[str] = set()
        self.calls: dict[Call, Since] = {}
        """Those under way."""
        self.phone = self._new_phone()

    def _new_phone(self) -> Phone:
        passwords = {"right": PASSWORD, "wrong": "guess", "none": None}
        phone = self.site.server.phone(
            self.aor, password=passwords[self.plan.proof], transport=self.plan.transport
        )
        phone.answering["INVITE"] = self._invited
        for method in ("OPTIONS", "MESSAGE"):
            phone.answering[method] = lambda incoming: incoming.answer(200)
        # Mutilated requests may have a method of their own.
        self._world.after(_LOOKS_AT_REST_EVERY, lambda: self._answer_the_rest(phone))
        if self.lies:
            self._world.answers.strangers.add(phone.host)
        self._world.network.phones[phone.host] = self.name
        return phone

    def _answer_the_rest(self, phone: Phone) -> None:
        for incoming in phone.requests:
            if not incoming.answered:
                incoming.reject(501)
        phone.requests.clear()
        if phone is self.phone:
            self._world.after(_LOOKS_AT_REST_EVERY, lambda: self._answer_the_rest(phone))

    # Whether it can.

    def _can(self) -> bool:
        """Whether there is somebody to speak to."""
        if not self.site.up:
            return False
        flow = self.phone._flow
        if flow is None or not flow.alive:
            self._disturbed()
            try:
                self.phone.connect()
            except ConnectionError:
                return False
        return True

    def _disturbed(self) -> None:
        self._disturbed_at = self._world.timeline.now

    def _undisturbed(self, what: Since) -> bool:
        """Whether nothing has come between this phone and its server since."""
        since = what.since
        sound = what.flow.alive and what.flow not in self._spoiled
        return sound and self._disturbed_at < since and self.site.disturbed_at < since

    def has_spoiled(self, call_id: str) -> bool:
        """Whether it has sent garbage that looks like a part of a call, and may have been answered."""
        return call_id in self._garbled

    def _now(self) -> Since:
        return Since(self._world.timeline.now, self.phone.flow)

    # Registering.

    def wake(self) -> None:
        """Be registered from now on."""
        self._wanted = True
        self._patience = 60.0
        self._turn += 1
        self._stay_registered(self._turn)

    def rest(self) -> None:
        """Stop refreshing what would have to be refreshed all the time."""
        if self.plan.expires < _QUIET_ENOUGH or self.lies:
            self._wanted = False

    def sleep(self) -> None:
        """Refresh nothing any more."""
        self._wanted = False

    def _stay_registered(self, turn: int) -> None:
        if turn == self._turn and self._wanted:
            self.register()
            self._world.after(_TIMER_F + 8.0, lambda: self._look_at_answer(turn))

    def _look_at_answer(self, turn: int) -> None:
        if turn != self._turn or not self._wanted:
            return
        exchange = self._registering
        answer = None if exchange is None else exchange.answer
        if answer is not None and answer.status == 200:
            granted = max([one.expires or 60 for one in answer.contacts], default=60)
            pause = granted * self._chance.uniform(0.5, 0.9) - _TIMER_F
            self._patience = 60.0
        else:
            pause = self._patience * self._chance.uniform(0.5, 1.5)
            self._patience = min(2 * self._patience, _LONGEST_PATIENCE)
        self._world.after(max(pause, 1.0), lambda: self._stay_registered(turn))

    def register(self, *contacts: str, expires: int | None = None) -> bool:
        """Send a REGISTER, unless one is under way (RFC 3261 10.2); whether it was."""
        if self._registering is not None and not self._registering.done:
            return False
        if not self._can():
            return False
        self._registering = self.phone.begin_register(
            *contacts, expires=self.plan.expires if expires is None else expires
        )
        return True

    def unregister(self) -> bool:
        """Remove the binding."""
        self._wanted = False
        return self._can() and self.register(f"<{self.phone.contact}>;expires=0")

    def unregister_all(self) -> bool:
        """Remove all bindings of the AOR."""
        return self.register("*", expires=0)

    def register_strangely(self, amount: float) -> bool:
        """Ask for something that few ask for."""
        host = self.phone.host
        return self._chance.choice(
            (
                lambda: self.register(f"sip:x@{host}:5070", f"<sip:y@{host}:5072>;expires=90", expires=300),
                lambda: self.register(expires=1 + int(amount)),
                lambda: self.register(expires=4_000_000_000),
                lambda: self.register(f"<sip:z@{host}:5074>;q=0.5", expires=120),
                lambda: self.register("<mailto:a@example.com>", expires=600),
            )
        )()

    # Trouble of its own.

    def drop_connection(self, amount: float) -> bool:
        """Lose the connection or the port, and come back by another one."""
        flow = self.phone._flow
        if flow is None or not flow.alive:
            return False
        self._disturbed()
        if self._chance.random() < 0.5:
            flow.reset()
        else:
            flow.close()
        self._come_back(amount)
        return True

    def fall_silent(self, amount: float) -> bool:
        """Nothing gets through any more, and after a while it is seen to."""
        flow = self.phone._flow
        if flow is None or not flow.opened:
            return False
        self._disturbed()
        self._spoiled.add(flow)
        flow.fall_silent()

        def notice() -> None:
            self._disturbed()
            flow.close()
            self._come_back(0.0)

        self._world.after(60.0 + amount, notice)
        return True

    def reboot(self, amount: float) -> bool:
        """Forget everything, and begin anew at another address, later than anything of it can be under way."""
        self._turn += 1
        wanted, self._wanted = self._wanted, False
        if self.phone._flow is not None:
            self.phone.flow.reset()
        self._disturbed()

        def boot() -> None:
            if not self.site.up:
                self._world.after(30.0, boot)
                return
            self._disturbed()
            self._registering = None
            self.phone = self._new_phone()
            if wanted:
                self.wake()

        self._world.after(120.0 + amount, boot)
        return True

    def _come_back(self, amount: float) -> None:
        turn = self._turn
        if self._wanted:
            self._world.after(amount, lambda: self.wake() if turn == self._turn else None)

    # Requests.

    def ask(self, whom: Agent) -> bool:
        """Ask what somebody can."""
        return self._can() and bool(self.phone.begin("OPTIONS", whom.aor))

    def write(self, whom: Agent) -> bool:
        """Send a text."""
        fields = ["Content-Type: text/plain"]
        return self._can() and bool(self.phone.begin("MESSAGE", whom.aor, fields=fields, body=b"hello"))

    def say_garbage(self) -> bool:
        """Send what is no message, or not quite one."""
        if not self._can():
            return False
        if self.plan.transport != "udp":
            self._spoiled.add(self.phone.flow)  # behind half a message nothing is understood
        last = self.phone.last
        if last is not None and last.requests and self._chance.random() < 0.5:
            data = bytearray(last.requests[-1])
            if last.transaction is not None:
                self._world.answers.mutilated.add(last.transaction.branch)
                self._garbled.add(_call_id(last))
            for _ in range(self._chance.randint(1, 4)):
                data[self._chance.randrange(len(data))] = self._chance.randrange(256)
            self.phone.send(bytes(data[: self._chance.randint(1, len(data))]))
        else:
            self.phone.send(self._chance.choice(_GARBAGE))
        return True

    def send_last_again(self) -> bool:
        """Send the last request again, as the network might have done. Over UDP, which has transactions that last."""
        last = self.phone.last
        if self.plan.transport != "udp" or last is None or not last.requests or not self._can():
            return False
        self.phone.retransmit()
        return True

    def replay(self, whom: Agent) -> bool:
        """Send what somebody else has sent. To a server of another domain anybody may send anything."""
        if self.site is not whom.site:
            return False
        last = whom.phone.last
        if whom is self or last is None or not last.requests or not self._can():
            return False
        if self.lies and last.answer is None:
            return (
                False  # what the server has not seen yet proves something, whoever brings it (RFC 7616 5.5)
            )
        self._disturbed()
        self._world.answers.replayed.add(_call_id(last))
        self.phone.send(last.requests[-1])
        return True

    # Calling.

    def call(self, whom: Agent, amount: float) -> bool:
        """Call somebody: let it ring, give up after ``amount`` seconds now and then, talk, hang up."""
        if not self._can():
            return False
        began = self._now()
        call = self.phone.call(whom.aor)
        self.calls[call] = began
        after = self._world.after
        if self._chance.random() < 0.25:
            after(amount, lambda: None if call.exchange.done else call.cancel())
        if self._chance.random() < 0.2:
            after(8.0 + amount, lambda: self._in_dialog(call, "INVITE"))
        after(self._chance.uniform(5.0, 120.0), lambda: self._hang_up(call.dialogs))
        after(_LONGEST_CALL, lambda: self._judge(call, began))
        return True

    def _in_dialog(self, call: Call, method: str) -> None:
        for dialog in call.dialogs:
            if dialog.confirmed and not dialog.ended and self._can():
                dialog.begin(method)

    def _hang_up(self, dialogs: list[Dialog]) -> None:
        for dialog in dialogs:
            if dialog.confirmed and not dialog.ended and self._can():
                dialog.begin_bye()

    def _judge(self, call: Call, began: Since) -> None:
        """Each INVITE of a living caller has one end (RFC 3261 13.2.2, 16.7)."""
        self._hang_up(call.dialogs)
        exchange = call.exchange
        self._world.counted["calls"] += 1
        if exchange.answer is not None:
            self._world.counted[f"answered {exchange.answer.status}"] += 1
        elif (
            self._undisturbed(began)
            and self._world.network_was_good(began.since)
            and not self.has_spoiled(_call_id(exchange))
        ):
            self._world.broken(
                "INVITE without an end",
                f"{self.name}: {exchange.failure or 'nothing has come of it'}",
                _call_id(exchange),
            )
        if not exchange.done and exchange.transaction is not None:
            exchange.transaction.drop()  # the phone gives up
        del self.calls[call]

    # Being called.

    def _invited(self, incoming: Incoming) -> None:
        rung = Since(self._world.timeline.now, incoming.flow)
        if incoming.dialog is not None:
            self._world.after(0.1, lambda: self._accept(incoming, rung))
            self._world.after(_AFTER_TIMER_C, lambda: self._give_up(incoming))
            return
        self._world.counted["rung"] += 1
        luck, after = self._chance.random(), self._world.after
        if luck < 0.12:
            after(0.3, lambda: self._reject(incoming, self._chance.choice((486, 480, 603, 404))))
        elif luck < 0.17:
            other = self._chance.choice(self._world.agents).aor
            after(0.3, lambda: None if incoming.answered else incoming.redirect(other))
        elif luck < 0.95:
            after(self._chance.uniform(0.0, 1.0), lambda: self._ring(incoming))
            if luck < 0.80:
                after(1.0 + self._chance.expovariate(1.0 / 6.0), lambda: self._accept(incoming, rung))
        after(_AFTER_TIMER_C, lambda: self._judge_ringing(incoming, rung))

    def _may_answer(self, incoming: Incoming) -> bool:
        return not incoming.answered and incoming.flow.alive and incoming.phone is self.phone and self._can()

    def _ring(self, incoming: Incoming) -> None:
        if self._may_answer(incoming):
            incoming.ring()

    def _reject(self, incoming: Incoming, status: int) -> None:
        if not incoming.answered and incoming.flow.alive:
            incoming.reject(status)

    def _accept(self, incoming: Incoming, rung: Since) -> None:
        if not self._may_answer(incoming):
            return
        dialog = incoming.accept()
        accepted = Since(self._world.timeline.now, incoming.flow)
        number = incoming.request.cseq.number
        self._world.after(_ACKED_WITHIN, lambda: self._judge_ack(dialog, number, accepted))
        if self._chance.random() < 0.4:
            self._world.after(self._chance.uniform(2.0, 60.0), lambda: self._hang_up([dialog]))

    def _judge_ack(self, dialog: Dialog, number: int, accepted: Since) -> None:
        """The ACK for a 2xx arrives where it can (RFC 3261 13.2.2.4)."""
        if any(ack.cseq.number == number for ack in dialog.acks):
            self._world.counted["acknowledged"] += 1
            return
        found = self._world.call_with(dialog.call_id)
        good = self._undisturbed(accepted) and self._world.network_was_good(accepted.since)
        if good and found is not None and dialog.call_id not in self._world.answers.replayed:
            caller, began = found
            if caller is not self and caller._undisturbed(began) and not caller.has_spoiled(dialog.call_id):
                self._world.broken(
                    "2xx without ACK", f"{self.name} has accepted a call of {caller.name}", dialog.call_id
                )

    def _judge_ringing(self, incoming: Incoming, rung: Since) -> None:
        """What rings is answered, cancelled or given up (RFC 3261 16.7 step 10, 16.8)."""
        if not incoming.answered:
            if self._undisturbed(rung) and self._world.network_was_good(rung.since):
                self._world.broken(
                    "a phone rings on", f"{self.name}, since {rung.since:.3f} s", incoming.request.call_id
                )
            self._give_up(incoming)

    def _give_up(self, incoming: Incoming) -> None:
        if not incoming.answered:
            self._reject(incoming, 480)
            incoming._transaction.drop()


def _call_id(exchange: Exchange) -> str:
    return parse_message(exchange.requests[-1]).call_id
