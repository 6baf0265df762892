"""Events: data for whoever subscribes."""

from __future__ import annotations

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from sipframe.events import Event, Events


@pytest.fixture
def events() -> Events:
    return Events()


def test_nobody_listens_at_first(events: Events) -> None:
    assert not events.wanted
    events.publish("sipframe.test", a=1)


def test_every_subscriber_gets_every_event_in_order(events: Events) -> None:
    found: list[tuple[str, Event]] = []
    _ = events.subscribe(lambda event: found.append(("first", event)))
    _ = events.subscribe(lambda event: found.append(("second", event)))
    assert events.wanted
    events.publish("sipframe.one", a=1)
    events.publish("sipframe.two")
    one, two = Event("sipframe.one", {"a": 1}), Event("sipframe.two", {})
    assert found == [("first", one), ("second", one), ("first", two), ("second", two)]


def test_a_field_may_have_any_name(events: Events) -> None:
    found: list[Event] = []
    _ = events.subscribe(found.append)
    events.publish("sipframe.test", name="x", self="y")
    assert found[0].fields == {"name": "x", "self": "y"}


def test_a_subscription_ends_once_and_alone(events: Events) -> None:
    found: list[Event] = []
    end_first = events.subscribe(found.append)
    end_second = events.subscribe(found.append)
    wanted = []
    for end in (end_first, end_first, end_second):
        end()
        events.publish("sipframe.test")
        wanted.append((events.wanted, len(found)))
    assert wanted == [(True, 1), (True, 2), (False, 2)]


def test_a_subscriber_may_leave_while_it_is_told(events: Events) -> None:
    found: list[str] = []

    def once(event: Event) -> None:
        found.append("once")
        end()

    end = events.subscribe(once)
    _ = events.subscribe(lambda event: found.append("always"))
    events.publish("sipframe.test")
    events.publish("sipframe.test")
    assert found == ["once", "always", "always"]


def test_a_subscriber_that_raises_is_logged_and_kept(events: Events) -> None:
    found: list[str] = []
    logged: list[LogEvent] = []

    def broken(event: Event) -> None:
        found.append("broken")
        raise ZeroDivisionError

    _ = events.subscribe(broken)
    _ = events.subscribe(lambda event: found.append("sound"))

    class Observer:
        def __call__(self, event: LogEvent) -> None:
            logged.append(event)

    observer: ILogObserver = Observer()  # type: ignore[assignment]
    globalLogPublisher.addObserver(observer)
    try:
        events.publish("sipframe.test")
        events.publish("sipframe.test")
    finally:
        globalLogPublisher.removeObserver(observer)
    assert found == ["broken", "sound"] * 2
    assert [one["event"] for one in logged if "event" in one] == ["sipframe.test"] * 2
