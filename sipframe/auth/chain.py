"""Several authenticators as one, asked in their order.

Rules:

- Accepted and Rejected end it. Abstained and Challenge do not: the next one is asked.
- When the last one has been asked, the challenges of all go out together, in order: one answer with all values
  (RFC 3261 22.3, RFC 8898 2.1.1). Where nobody challenged, the chain abstains, and the request is answered 403.
- So a proof that one of them finds wrong still lets another one accept the request on other grounds. Put first whoever
  should have the last word, and let it reject instead of challenge.
- What one raises, or gives that is no verdict, ends it. Nobody is skipped because of a failure.
- Nothing is made when nothing waits: no Deferred, no coroutine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from zope.interface import implementer

from sipframe.auth.challenge import Outcome
from sipframe.interfaces import IAuthenticator, IComposed
from sipframe.seams import chained
from sipframe.verdicts import Abstained, Accepted, Challenge, Rejected

if TYPE_CHECKING:
    from sipframe.interfaces import IFlow
    from sipframe.message import Request

__all__ = ["Chain"]

_Undecided: TypeAlias = tuple[Challenge | Abstained, ...]


@implementer(IAuthenticator, IComposed)
class Chain:
    """Asks ``authenticators`` (each an IAuthenticator). Raises ValueError for none, TypeError for what is no such."""

    def __init__(self, authenticators: Iterable[object]) -> None:
        self._authenticators: tuple[IAuthenticator, ...] = tuple(
            [IAuthenticator(one) for one in authenticators]
        )
        if not self._authenticators:
            raise ValueError("a chain needs one authenticator at least")

    def authenticate(self, request: Request, flow: IFlow) -> object:
        """The verdict of all, or a Deferred of it when one of them has to wait (IAuthenticator)."""
        return self._go_on(request, flow, 0, (), self._authenticators[0].authenticate(request, flow))

    def _go_on(
        self, request: Request, flow: IFlow, index: int, undecided: _Undecided, answer: object
    ) -> object:
        """``answer`` is what the one at ``index`` says; ``undecided`` is what those before it said."""
        while True:
            kind = type(answer)
            if kind is Accepted or kind is Rejected:
                return answer
            if kind is Abstained or kind is Challenge:
                undecided = (*undecided, cast(Challenge | Abstained, answer))
            elif isinstance(answer, Awaitable):
                return chained(answer, partial(self._go_on, request, flow, index, undecided))
            else:
                raise TypeError(
                    f"{_name(self._authenticators[index])} gave {kind.__name__}, which is no verdict"
                )
            index += 1
            if index == len(self._authenticators):
                return _together(undecided)
            answer = self._authenticators[index].authenticate(request, flow)

    def __repr__(self) -> str:
        return f"<Chain of {', '.join([_name(one) for one in self._authenticators])}>"


def _together(undecided: _Undecided) -> Challenge | Abstained:
    challenges = [one for one in undecided if isinstance(one, Challenge)]
    if len(challenges) == 1:
        return challenges[0]
    if not challenges:
        return Abstained(_all_reasons(undecided))
    if not all(one.values for one in challenges):
        raise ValueError("a Challenge without a value")  # RFC 3261 20.44
    # That somebody saw no credentials of theirs says nothing beside what another one thinks of its own.
    telling = [one for one in challenges if one.reason not in ("", Outcome.NO_CREDENTIALS)]
    return Challenge(
        tuple([value for one in challenges for value in one.values]),
        _all_reasons(telling or challenges),
        any(one.stale for one in challenges),
    )


def _all_reasons(undecided: Iterable[Challenge | Abstained]) -> str:
    return "; ".join(dict.fromkeys([str(one.reason) for one in undecided if one.reason]))


def _name(authenticator: object) -> str:
    return type(authenticator).__name__
