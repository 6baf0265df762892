"""Random events in random order on a clock: what must hold whatever happens.

Everything ends, nothing is left, no final answer is ever replaced by another one, a sender hears of one end.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sipframe.message import Request, Response, parse_message
from sipframe.transaction import ClientTransaction, ServerTransaction, TransactionSettings
from tests.transaction.fakes import FakeFlow, World, answer, request, response

BRANCHES = st.sampled_from(["z9hG4bK1", "z9hG4bK2", "z9hG4bK3", "1", None])
OUR_BRANCHES = st.sampled_from(["z9hG4bKa", "z9hG4bKb"])
METHODS = st.sampled_from(["INVITE", "OPTIONS", "REGISTER"])
STATUSES = st.sampled_from([100, 180, 200, 202, 401, 408, 486, 600])
TRANSPORTS = st.sampled_from(["UDP", "TLS"])
AFTER_ALL = 40.0
"""Seconds after which nothing is left: longer than 64 x T1, D and T4."""


class RandomTraffic(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(settings=TransactionSettings(max_server_transactions=6))
        self.world.core.answer_with = self.remember
        self.flows = {
            transport: FakeFlow(self.world.log, transport, serial)
            for serial, transport in enumerate(["UDP", "TLS"])
        }
        self.servers: list[ServerTransaction] = []
        self.requests: dict[ServerTransaction, Request] = {}
        self.finals: dict[ServerTransaction, set[bytes]] = {}
        self.clients: list[ClientTransaction] = []
        self.ends: dict[ClientTransaction, list[str]] = {}
        self.salt = 0

    def remember(self, transaction: ServerTransaction) -> None:
        self.servers.append(transaction)
        self.requests[transaction] = transaction.request

    # From the network.

    @rule(method=METHODS, branch=BRANCHES, transport=TRANSPORTS, cseq=st.integers(1, 2))
    def a_request_comes(self, method: str, branch: str | None, transport: str, cseq: int) -> None:
        self.world.layer.request(request(method, branch, cseq=cseq), self.flows[transport])

    @rule(branch=BRANCHES, transport=TRANSPORTS, tag=st.sampled_from(["ours", "theirs"]))
    def an_ack_comes(self, branch: str | None, transport: str, tag: str) -> None:
        self.world.layer.request(request("ACK", branch, to_tag=tag), self.flows[transport])

    @rule(branch=BRANCHES, transport=TRANSPORTS)
    def a_cancel_comes(self, branch: str | None, transport: str) -> None:
        self.world.layer.request(request("CANCEL", branch), self.flows[transport])

    @rule(method=METHODS, branch=OUR_BRANCHES, status=STATUSES, transport=TRANSPORTS)
    def a_response_comes(self, method: str, branch: str, status: int, transport: str) -> None:
        self.world.layer.response(response(status, method, branch), self.flows[transport])

    @rule()
    def a_flow_is_lost(self) -> None:
        old = self.flows["TLS"]
        old.alive = False
        self.world.layer.flow_lost(old)
        self.flows["TLS"] = FakeFlow(self.world.log, "TLS", old.serial + 1)

    # From the core.

    @rule(which=st.integers(0, 5), status=STATUSES, stateless=st.booleans())
    def the_core_answers(self, which: int, status: int, stateless: bool) -> None:
        if which >= len(self.servers):
            return
        transaction = self.servers[-1 - which]
        self.salt += 1  # each answer is unlike all others
        data = answer(status, self.requests[transaction]) + b"%d" % self.salt
        if stateless and status >= 200:
            transaction.respond_stateless(status, data)
        else:
            transaction.respond(status, data)
        if status >= 200:
            self.finals.setdefault(transaction, set()).add(data)

    @rule(which=st.integers(0, 5))
    def the_core_gives_up(self, which: int) -> None:
        if which < len(self.servers):
            self.servers[-1 - which].drop()

    @rule(method=METHODS, branch=OUR_BRANCHES, transport=TRANSPORTS)
    def a_request_is_sent(self, method: str, branch: str, transport: str) -> None:
        data = request(method, branch).to_bytes()
        user = Ends(self.ends)
        try:
            transaction = self.world.layer.send(data, method, branch, self.flows[transport], user)
        except ValueError:
            return
        self.clients.append(transaction)

    @rule(which=st.integers(0, 3))
    def the_sender_gives_up(self, which: int) -> None:
        if which < len(self.clients):
            self.clients[-1 - which].drop()

    # Time.

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0, 4.0, 5.0, 32.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.instants("", seconds)

    # What must hold.

    @invariant()
    def there_is_one_call_of_the_clock_at_most(self) -> None:
        assert len(self.world.clock.getDelayedCalls()) <= 1

    @invariant()
    def the_limit_is_kept(self) -> None:
        servers = [one for one in self.world.layer._servers.values() if one.method != "CANCEL"]
        assert len(servers) <= 6

    @invariant()
    def every_transaction_that_waits_for_the_network_has_a_timer(self) -> None:
        timed = {id(owner) for queue in self.world.layer.queues._queues for owner in queue.entries}
        for one in self.world.layer._everything():
            if one.answered or one.state in ("Calling", "Trying") or one.machine == "non-INVITE client":
                waits_for_the_core = isinstance(one, ServerTransaction) and not one.answered
                assert waits_for_the_core or id(one) in timed

    @invariant()
    def a_sender_hears_of_one_final_response_and_of_one_end(self) -> None:
        for transaction, events in self.ends.items():
            finals = [event for event in events if event.isdigit() and int(event) >= 200]
            others = [event for event in events if not event.isdigit()]
            assert len(others) <= 1
            if transaction.method != "INVITE":
                assert len(finals) + len(others) <= 1
            else:
                failures = [final for final in finals if int(final) >= 300]
                assert len(failures) <= 1
                assert not (failures and len(finals) > 1)
                assert not (finals and "timed_out" in others)

    def teardown(self) -> None:
        world = self.world
        for transaction in self.servers:
            transaction.drop() if not transaction.answered else None
        for server in list(world.layer._servers.values()):
            if not server.answered:
                server.drop()
        for client in self.clients:
            if client.state == "Proceeding" and client.method == "INVITE":
                client.drop()  # only its sender ends it: timer C
        world.instants("", AFTER_ALL)
        assert world.left() == 0
        assert world.timers() == 0
        assert world.clock.getDelayedCalls() == []
        assert not world.layer._acks
        assert not world.layer._client_side.by_flow
        self.no_final_answer_was_replaced()

    def no_final_answer_was_replaced(self) -> None:
        """Of the answers that a core gave to a transaction one final one was sent, or several 2xx to an INVITE."""
        sent = {data for flow in (*self.flows.values(), self.world.flow) for data in flow.sent}
        for transaction, given in self.finals.items():
            really = [parse_message(data) for data in given & sent]
            statuses = [one.status for one in really if isinstance(one, Response)]
            if transaction.method == "INVITE" and any(status < 300 for status in statuses):
                assert all(status < 300 for status in statuses)
            else:
                assert len(statuses) <= 1


class Ends:
    """A sender that writes down, by transaction, what it hears."""

    def __init__(self, ends: dict[ClientTransaction, list[str]]) -> None:
        self._ends = ends

    def response(self, transaction: ClientTransaction, response: Response) -> None:
        self._ends.setdefault(transaction, []).append(str(response.status))

    def timed_out(self, transaction: ClientTransaction) -> None:
        self._ends.setdefault(transaction, []).append("timed_out")

    def transport_failed(self, transaction: ClientTransaction) -> None:
        self._ends.setdefault(transaction, []).append("transport_failed")


RandomTraffic.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestRandomTraffic = RandomTraffic.TestCase
