from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from sipframe.message import MessageError, Request, Response, parse_message
from sipframe.ua import ClientError, Finished, Registration, Verdict
from sipframe.ua.client import register
from sipframe.ua.flows import ClientFlow
from sipframe.verdicts import Address
from tests.ua.script import MD5, answer, challenge, registration


class Table:
    """A registration on a flow that ends on this table: ``log`` has what was seen, in order."""

    def __init__(self, transport: str = "UDP", flow: Registration | None = None) -> None:
        self.clock = Clock()
        self.log: list[str] = []
        self.wire: list[bytes] = []
        self.result: list[object] = []
        ours, theirs = Address("192.0.2.4", 5062), Address("192.0.2.1", 5060)
        self.flow = ClientFlow(transport, ours, theirs, self.wire.append, lambda: self.log.append("closed"))
        self.done = Deferred.fromCoroutine(register(self.clock, self.flow, flow or registration(), self))
        _ = self.done.addBoth(self.result.append)

    # The observer.

    def sent(self, message: bytes, again: bool) -> None:
        self.log.append("again" if again else message.split(b" ", 1)[0].decode())

    def arrived(self, message: Request | Response) -> None:
        self.log.append(message.start_line)

    def malformed(self, error: MessageError) -> None:
        self.log.append(error.reason)

    # The server.

    @property
    def request(self) -> Request:
        """The last one that was sent."""
        request = parse_message(self.wire[-1])
        assert isinstance(request, Request)
        return request

    def answers(self, status: int, *fields: str) -> None:
        self.flow.arrived(answer(self.request, status, *fields))

    def failure(self) -> ClientError:
        (failure,) = self.result
        error = getattr(failure, "value", None)
        assert isinstance(error, ClientError)
        return error


def test_from_the_first_request_to_the_last_answer() -> None:
    table = Table("TCP")
    table.flow.arrived(challenge(table.request, MD5))
    table.answers(200)
    (finished,) = table.result
    assert isinstance(finished, Finished)
    assert finished.verdict is Verdict.ACCEPTED
    assert table.log == ["REGISTER", "SIP/2.0 401 Reason", "REGISTER", "SIP/2.0 200 Reason", "closed"]
    assert len(set(table.wire)) == 2


def test_over_udp_a_request_is_sent_again_until_there_is_an_answer() -> None:
    table = Table("UDP")
    table.clock.pump([0.1] * 40)
    assert table.log == ["REGISTER", "again", "again", "again"]  # RFC 3261 17.1.2.2: 0.5 s, 1.5 s, 3.5 s
    assert len(set(table.wire)) == 1
    table.answers(200)
    assert isinstance(table.result[0], Finished)
    table.clock.pump([1] * 60)
    assert len(table.wire) == 4


def test_over_tcp_nothing_is_sent_again() -> None:
    table = Table("TCP")
    table.clock.pump([0.1] * 40)
    assert table.log == ["REGISTER"]


@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
def test_without_an_answer_it_ends_after_64_t1(transport: str) -> None:
    table = Table(transport)
    table.clock.pump([0.1] * 319)
    assert table.result == []
    table.clock.pump([0.1] * 3)
    assert str(table.failure()) == "no answer"
    assert table.failure().unreachable
    assert table.log[-1] == "closed"


def test_provisional_responses_are_waited_through() -> None:
    table = Table("TCP")
    table.answers(100)
    assert table.result == []
    table.answers(200)
    assert isinstance(table.result[0], Finished)


def test_an_answer_that_came_twice_counts_once() -> None:
    table = Table("UDP")
    first = challenge(table.request, MD5)
    table.flow.arrived(first)
    table.flow.arrived(first)
    assert len(table.wire) == 2
    table.answers(200)
    assert isinstance(table.result[0], Finished)


def misdirected(response: Response) -> bytes:
    return response.to_bytes().replace(b"Via: ", b"Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKx\r\nVia: ", 1)


def without_via(response: Response) -> bytes:
    return b"\r\n".join([line for line in response.to_bytes().split(b"\r\n") if not line.startswith(b"Via")])


def of_another_branch(response: Response) -> bytes:
    return response.to_bytes().replace(b"z9hG4bK", b"z9hG4bKother")


@pytest.mark.parametrize("spoil", [misdirected, without_via, of_another_branch])
def test_a_response_that_is_not_for_us_is_shown_and_dropped(spoil: Callable[[Response], bytes]) -> None:
    table = Table("UDP")
    message = parse_message(spoil(answer(table.request, 200)))
    table.flow.arrived(message)
    assert table.result == []
    assert table.log == ["REGISTER", "SIP/2.0 200 Reason"]


def test_a_request_from_the_server_is_shown_and_not_answered() -> None:
    table = Table("TCP")
    table.flow.arrived(table.request)
    assert table.log == ["REGISTER", "REGISTER sip:example.com SIP/2.0"]
    assert len(table.wire) == 1


def test_a_flow_that_is_lost_ends_it() -> None:
    table = Table("TCP")
    table.answers(100)
    table.flow.died("the server has closed the connection")
    assert str(table.failure()) == "the server has closed the connection"
    assert not table.failure().unreachable


def test_a_flow_that_is_dead_already_ends_it() -> None:
    flow = ClientFlow(
        "UDP", Address("192.0.2.4", 5062), Address("192.0.2.1", 5060), lambda data: None, lambda: None
    )
    flow.died("nobody listens there")
    clock = Clock()
    table = Table()
    done = Deferred.fromCoroutine(register(clock, flow, registration(), table))
    clock.advance(0.1)
    failures: list[object] = []
    _ = done.addErrback(lambda failure: failures.append(str(failure.value)))
    assert failures == ["the request could not be sent"]


def test_what_is_no_message_is_shown() -> None:
    table = Table("UDP")
    table.flow.malformed(MessageError("Malformed start line"))
    assert table.log == ["REGISTER", "Malformed start line"]
    assert table.result == []


def test_it_can_be_cancelled() -> None:
    table = Table("UDP")
    table.done.cancel()
    assert table.result[0].check(CancelledError)  # type: ignore[attr-defined]  # a Failure
    assert table.log == ["REGISTER", "closed"]
    table.clock.pump([1] * 60)
    assert len(table.wire) == 1
