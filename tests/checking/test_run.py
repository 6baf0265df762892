"""A run: what is touched and what is not, when it cannot begin, when it has to end, what is reported."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from sipframe.checking import CHECKS, CheckError, Level, Outcome, Result, Timing, chosen
from sipframe.checking.check import Skipped, check
from sipframe.checking.junit import junit
from sipframe.checking.user_agent import UserAgent
from sipframe.message import parse_name_addr
from tests.checking.broken import AnyOwner, Grumpy, Trusting
from tests.checking.toy import Held, Refused, Toy, checked

THEIRS = Held(parse_name_addr("<sip:alice@198.51.100.7>"), 3600, "theirs", 1)


class Recording(Toy):
    """Keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []

    def receive(self, data: bytes) -> list[bytes]:
        self.log.append(data)
        return super().receive(data)


def test_nothing_is_left_behind() -> None:
    toy = Toy()
    assert checked(toy, CHECKS).warnings == ()
    assert {aor: held for aor, held in toy.held.items() if held} == {}


def test_bindings_that_were_there_stay_and_no_star_is_sent() -> None:
    toy = Recording()
    toy.held["alice"] = [THEIRS]
    report = checked(toy, CHECKS)
    assert toy.held["alice"] == [THEIRS]
    assert b"\nContact: *" not in b"".join(toy.log)
    left_out = {one.check.id for one in report.results if "Contact: *" in one.reason}
    assert left_out == {
        "flow.cancel",
        "register.star-with-others",
        "register.star-not-zero",
        "register.star-no-expires",
    }
    assert [one.reason for one in report.results if one.outcome is Outcome.FAILED] == []
    [warning] = report.warnings
    assert warning.startswith("sip:alice@example.com has 1 binding already")


def test_without_a_second_user_one_check_is_left_out() -> None:
    [result] = checked(Toy(), chosen(["digest.second-user"]), second=False).results
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "there is no --second-user")


class Dead(Toy):
    def receive(self, data: bytes) -> list[bytes]:
        return []


class Guarded(Toy):
    def authenticated(self, request: object) -> str:
        raise Refused(403)


class Broken(Toy):
    def aor(self, request: object) -> str:
        raise Refused(500)


@pytest.mark.parametrize(
    ("toy", "reason"),
    [
        (Dead, "no answer to 'REGISTER sip:example.com SIP/2.0' within 4 s"),
        (Guarded, "alice may not register sip:alice@example.com: 403 Forbidden; is the password right?"),
        (Broken, "a REGISTER that asks for the bindings is answered 500 Server Internal Error"),
    ],
)
def test_a_run_that_cannot_begin(toy: type[Toy], reason: str) -> None:
    with pytest.raises(CheckError) as raised:
        checked(toy(), CHECKS)
    assert str(raised.value) == reason


class Mortal(Toy):
    """Dies of the first request with a Contact."""

    dead = False

    def receive(self, data: bytes) -> list[bytes]:
        self.dead = self.dead or b"\nContact" in data
        return [] if self.dead else super().receive(data)


def test_a_server_that_dies_ends_the_run() -> None:
    report = checked(Mortal(), CHECKS)
    assert report.results[-1].check.id == "flow.new"
    assert report.ended.startswith("since flow.new: no answer to")
    assert not report.conforms


class Stubborn(Toy):
    """Removes nothing."""

    def lasts(self, request: object, contact: object) -> int:
        return 3600


def test_what_cannot_be_removed_is_told() -> None:
    report = checked(Stubborn(), chosen(["flow.new"]))
    assert [one.outcome for one in report.results] == [Outcome.PASSED]
    [warning] = report.warnings
    assert warning == "flow.new could not be cleaned up: our contacts are still listed after their removal"


def test_a_check_is_bounded_in_time() -> None:
    @check("slow.sleeper", "none")
    async def sleeper(ua: UserAgent) -> None:
        """Waits."""
        await ua.wait(1000)

    [result] = checked(Toy(), [sleeper], timing=Timing.within(5)).results
    assert (result.outcome, result.reason, result.seconds) == (
        Outcome.FAILED,
        "it is not done within 5 s",
        5.0,
    )


def test_a_check_that_breaks_is_one_failure() -> None:
    @check("odd.one", "none")
    async def odd(ua: UserAgent) -> None:
        """Divides."""
        _ = 1 / 0

    [result] = checked(Toy(), [odd]).results
    assert result.reason == "the check cannot make sense of it: ZeroDivisionError: division by zero"


def test_requests_are_sent_again_over_udp() -> None:
    class Deaf(Toy):
        heard = 0

        def receive(self, data: bytes) -> list[bytes]:
            self.heard += 1
            return super().receive(data) if self.heard % 3 == 0 else []

    report = checked(Deaf(), chosen(["flow.new"]), timing=Timing.within(60))
    [result] = report.results
    assert result.outcome is Outcome.PASSED
    assert sum(event.again for event in result.trace) == 4


def test_points_and_whether_it_conforms() -> None:
    @check("a.must", "none")
    async def must(ua: UserAgent) -> None:
        """Passes."""

    @check("a.should", "none", Level.SHOULD)
    async def should(ua: UserAgent) -> None:
        """Fails."""
        ua.expect(False, "no")

    @check("a.skipped", "none")
    async def skipped(ua: UserAgent) -> None:
        """Skips."""
        raise Skipped("why not")

    report = checked(Toy(), [must, should, skipped])
    assert report.points == (2, 3)
    assert report.conforms
    report = checked(Toy(), [should])
    assert report.points == (0, 1)
    assert report.conforms


def test_ids_are_unique_and_every_check_explains_itself() -> None:
    assert len({one.id for one in CHECKS}) == len(CHECKS) > 120
    for one in CHECKS:
        assert one.summary.endswith("."), one.id
        assert "\n" not in one.summary, one.id
        assert one.reference.startswith("RFC "), one.id
        assert one.group != one.id


def test_choosing() -> None:
    assert [one.id for one in chosen(["flow.new"])] == ["flow.new"]
    assert {one.group for one in chosen(["tls", "stream"])} == {"tls", "stream"}
    assert chosen([]) == CHECKS
    with pytest.raises(ValueError, match=r"there is no check 'flow\.nwe'"):
        chosen(["flow.nwe"])


def test_junit() -> None:
    told: list[Result] = []
    report = checked(Trusting(), chosen(["flow", "digest.sha-256"]), watch=told.append)
    assert tuple(told) == report.results
    root = ElementTree.fromstring(junit("host", [report], lambda result: f"ladder \x00 of {result.check.id}"))
    [suite] = root
    assert suite.attrib | {"time": ""} == {
        "name": "UDP host",
        "tests": "7",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "",
    }
    cases = {case.get("name"): case for case in suite}
    assert list(cases["flow.new"]) == []
    [failure] = cases["flow.refused"]
    assert failure.tag == "failure"
    assert failure.get("type") == "MUST"
    assert "ladder \\x00 of flow.refused" in (failure.text or "")
    [skipped] = cases["digest.sha-256"]
    assert skipped.get("message") == "SHA-256 is not offered"


def test_junit_of_a_run_that_ended() -> None:
    root = ElementTree.fromstring(junit("host", [checked(Mortal(), CHECKS)], lambda result: ""))
    assert root[0].get("errors") == "1"
    assert root[0][-1][0].tag == "error"


def test_the_answer_that_is_refused_is_in_the_record() -> None:
    [result] = checked(Grumpy(), chosen(["flow.update"])).results
    assert [event.text for event in result.trace][-1] == "SIP/2.0 500 Server Internal Error"


def test_nothing_is_left_behind_for_another_user() -> None:
    toy = AnyOwner()
    report = checked(toy, chosen(["digest.second-user", "digest.other-aor"]))
    assert [one.outcome for one in report.results] == [Outcome.FAILED] * 2
    assert [held for held in toy.held.values() if held] == []
