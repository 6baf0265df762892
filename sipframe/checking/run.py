"""Running checks one after another against one server over one transport.

Rules: the clock, entropy and the sockets are arguments. Each check gets a user agent of its own, is bounded in time,
and is cleaned up after. When the server says nothing any more the run ends, and says so. What an AOR had before is only
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from sipframe.checking.check import Check, CheckError, Failed, Level, NoAnswer, Outcome, Result, Skipped
from sipframe.checking.target import Sockets, Target, Timing
from sipframe.checking.user_agent import UserAgent
from sipframe.message import MessageError

__all__ = ["Report", "run_checks"]


@attrs.frozen
class Report:
    """What came of a run. ``warnings`` and ``ended`` are lines for a person."""

    transport: str
    results: tuple[Result, ...]
    warnings: tuple[str, ...] = ()
    ended: str = ""
    """Why the run ended before all checks had run; empty when it did not."""

    @property
    def conforms(self) -> bool:
        """Whether every check of what a server MUST do has passed."""
        return not self.ended and all(one.outcome is not Outcome.FAILED for one in self.of(Level.MUST))

    @property
    def points(self) -> tuple[int, int]:
        """Points, and how many there could have been; checks that were skipped count for neither."""
        counted = [one for one in self.results if one.outcome is not Outcome.SKIPPED]
        passed = sum(one.check.level.value for one in counted if one.outcome is Outcome.PASSED)
        return passed, sum(one.check.level.value for one in counted)

    def of(self, level: Level) -> list[Result]:
        """The results of checks of one level."""
        return [one for one in self.results if one.check.level is level]


async def run_checks(
    clock: Any,
    target: Target,
    sockets: Sockets,
    checks: Iterable[Check],
    entropy: Callable[[int], bytes],
    timing: Timing,
    ended: Callable[[Result], object] = lambda _: None,
) -> Report:
    """Run those of ``checks`` that are for the transport, and tell ``ended`` of each. Raises CheckError."""
    token = f"check-{entropy(4).hex()}"
    warnings: list[str] = []

    def user_agent() -> UserAgent:
        return UserAgent(clock, target, sockets, timing, entropy, token)

    found = await _begin(clock, user_agent(), timing)
    if found:
        target = attrs.evolve(target, vacant=False)
        warnings.append(
            f"{target.account.aor} has {found} binding{'s' * (found > 1)} already, which stay: checks that send"
            " Contact: * are left out"
        )
    results: list[Result] = []
    for check in checks:
        if target.transport not in check.transports:
            continue
        ua = user_agent()
        result = await _one(clock, ua, check, timing)
        results.append(result)
        ended(result)
        unclean = await _cleaned(clock, ua, timing)
        if unclean:
            warnings.append(f"{check.id} could not be cleaned up: {unclean}")
        if unclean or result.outcome is Outcome.FAILED:
            gone = await _gone(clock, user_agent(), timing)
            if gone:
                return Report(target.transport, tuple(results), tuple(warnings), f"since {check.id}: {gone}")
    return Report(target.transport, tuple(results), tuple(warnings))


async def _begin(clock: Any, ua: UserAgent, timing: Timing) -> int:
    """See that the server answers and that the account is good; how many bindings it has. Raises CheckError."""
    try:
        response = await _bounded(clock, Deferred.fromCoroutine(_first(ua)), timing)
    except DeferredTimeout:
        raise CheckError("no answer in time") from None
    except Failed as error:
        raise CheckError(str(error)) from None
    finally:
        ua.close()
    if response.status in (401, 403, 404):
        raise CheckError(
            f"{ua.target.account.username} may not register {ua.aor}: {response.status} {response.reason};"
            " is the password right?"
        )
    if response.status != 200:
        raise CheckError(
            f"a REGISTER that asks for the bindings is answered {response.status} {response.reason}"
        )
    try:
        return len(response.contacts)
    except MessageError:
        return 1  # something is there


async def _first(ua: UserAgent) -> Any:
    return await ua.request(await ua.draft())


async def _one(clock: Any, ua: UserAgent, check: Check, timing: Timing) -> Result:
    began = clock.seconds()
    outcome, reason = Outcome.PASSED, ""
    try:
        await _bounded(clock, Deferred.fromCoroutine(_run(check, ua)), timing)
    except Skipped as skipped:
        outcome, reason = Outcome.SKIPPED, str(skipped)
    except Failed as failed:
        outcome, reason = Outcome.FAILED, str(failed)
    except MessageError as error:
        outcome, reason = Outcome.FAILED, f"an answer cannot be read: {error.reason}"
    except DeferredTimeout:
        outcome, reason = Outcome.FAILED, f"it is not done within {timing.check:g} s"
    except (
        Exception
    ) as error:  # the server sent what the check did not think of: one failure, not the end of all
        outcome, reason = (
            Outcome.FAILED,
            f"the check cannot make sense of it: {type(error).__name__}: {error}",
        )
    seconds = clock.seconds() - began
    return Result(check, ua.target.transport, outcome, reason, seconds, tuple(ua.events))


async def _cleaned(clock: Any, ua: UserAgent, timing: Timing) -> str:
    """Remove what a check has bound; why that did not work, or nothing."""
    try:
        await _bounded(clock, Deferred.fromCoroutine(ua.clean()), timing)
    except (Failed, DeferredTimeout, MessageError) as error:
        return str(error)
    finally:
        ua.close()
    return ""


async def _run(check: Check, ua: UserAgent) -> None:
    _ = await ua.connect()
    await check.run(ua)


async def _gone(clock: Any, ua: UserAgent, timing: Timing) -> str:
    """Why the server counts as dead; empty when it answers."""
    try:
        await _bounded(clock, Deferred.fromCoroutine(_first(ua)), timing)
    except NoAnswer as error:
        return str(error)
    except (Failed, DeferredTimeout):
        return ""
    finally:
        ua.close()
    return ""


async def _bounded(clock: Any, doing: Deferred[Any], timing: Timing) -> Any:
    return await doing.addTimeout(timing.check, clock)
