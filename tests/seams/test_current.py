"""Whose request a plug-in works for: found in its coroutines and where its answers reach it, never mixed up."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from sipframe.seams import GuardedMethod, Inquiry, SingleFlight
from tests.seams.asking import World


class Standing:
    """A plug-in that asks another one, which is noted; ``pause`` is what it waits for before."""

    def __init__(self, world: World) -> None:
        self.part = SingleFlight(world.seam, world.plug_in, "ask", lambda answer: ("str", str(answer)))
        self.pauses: list[Deferred[Any]] = []

    def at_once(self, number: int) -> object:
        return self.part.call(number)

    async def after_a_pause(self, number: int) -> object:
        pause: Deferred[Any] = Deferred()
        self.pauses.append(pause)
        await pause
        answer = self.part.call(number)
        return await answer if isinstance(answer, Deferred) else answer

    def twice(self, number: int) -> object:
        first = self.part.call(number)
        assert isinstance(first, Deferred)
        return first.addCallback(lambda _: self.part.call(number + 1))


class Two:
    """Two requests, and what was noted for each."""

    def __init__(self) -> None:
        self.world = World()
        self.standing = Standing(self.world)
        self.inquiries: list[Inquiry] = []

    def ask(self, name: str) -> None:
        inquiry = Inquiry([])
        number = len(self.inquiries)
        self.inquiries.append(inquiry)
        self.world.seam.method(self.standing, name).ask((10 * number,), inquiry, _then, _failed)

    def noted(self) -> list[list[object]]:
        return [[step[2] for step in one.steps] for one in self.inquiries]


def _then(inquiry: Inquiry, answer: object) -> None:
    inquiry.rule("end", "", "end")


def _failed(inquiry: Inquiry, asked: GuardedMethod, error: BaseException) -> None:
    raise error


def test_while_it_is_called() -> None:
    two = Two()
    two.world.plug_in.answer = str
    two.ask("at_once")
    two.ask("at_once")
    assert two.noted() == [["0", "end"], ["10", "end"]]
    assert two.world.seam.current.get() is None


def test_in_its_coroutine() -> None:
    two = Two()
    two.world.plug_in.answer = str
    two.ask("after_a_pause")
    two.ask("after_a_pause")
    two.standing.pauses[1].callback(None)
    two.standing.pauses[0].callback(None)
    assert two.noted() == [["0", "end"], ["10", "end"]]


def test_where_an_answer_that_it_waited_for_reaches_it() -> None:
    two = Two()
    two.ask("twice")
    two.ask("twice")
    for number in (10, 11, 0, 1):
        two.world.plug_in.give(number, str(number))
    assert two.noted() == [["0", "1", "end"], ["10", "11", "end"]]


def test_a_coroutine_that_another_request_resumes_is_still_its_own() -> None:
    two = Two()
    two.world.plug_in.answer = str
    two.ask("after_a_pause")

    def resume(number: int) -> str:
        two.standing.pauses[0].callback(None)
        return str(number)

    two.world.plug_in.answer = lambda number: resume(number) if number == 10 else str(number)
    two.ask("at_once")
    assert two.noted() == [["0", "end"], ["10", "end"]]


def test_what_a_coroutine_leads_to_for_another_request_is_not_its_own() -> None:
    two = Two()
    two.world.plug_in.answer = str
    shared: Deferred[Any] = Deferred()
    method = two.world.seam.method(two.standing, "at_once")
    inquiry = Inquiry([])
    two.inquiries.append(inquiry)
    # The first request waits for what the coroutine of the second one will fire.
    _ = shared.addCallback(lambda _: method.ask((5,), inquiry, _then, _failed))
    two.ask("after_a_pause")

    def answer(number: int) -> str:
        if number == 10:
            shared.callback(None)
        return str(number)

    two.world.plug_in.answer = answer
    two.standing.pauses[0].callback(None)
    assert two.noted() == [["5", "end"], ["10", "end"]]
