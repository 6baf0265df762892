"""The plug-ins of one server: made from its settings, renewed from others, closed with it.

Rules: all or nothing. When one cannot be made, those that were made for the same settings are closed again. A renewal
keeps what is chosen as before, with all that it remembers; authenticators are made anew when the credential sources are
others. The location store stays what it is for as long as the server runs. What an embedder gave is theirs to close.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from zope.interface.interface import InterfaceClass

from sipframe.auth.chain import Chain
from sipframe.auth.guarded import GuardedAuthenticator, guarded
from sipframe.auth.sources.first_of import FirstOf
from sipframe.config import Settings
from sipframe.interfaces import IAuthenticator, ICloseable, ICredentialSource, ILocationStore, IPolicy
from sipframe.plugging import KINDS, Choice, make
from sipframe.seams import Seam
from sipframe.surroundings import Surroundings
from sipframe.wiring import StartError, verified

__all__ = ["Given", "PlugIn", "Plugged"]

_log = Logger()

PlugIn = Callable[[InterfaceClass, str], Any]


@attrs.frozen(kw_only=True)
class Given:
    """Plug-ins that an embedder made: each stands for what the settings would choose."""

    credentials: Any = None
    authenticator: Any = None
    location: Any = None
    policies: tuple[Any, ...] = ()

    def verified(self) -> Given:
        """The same, each adapted to its interface. Raises StartError."""
        return Given(
            credentials=_provider(ICredentialSource, self.credentials),
            authenticator=_provider(IAuthenticator, self.authenticator),
            location=_provider(ILocationStore, self.location),
            policies=tuple([verified(IPolicy, policy, "policy") for policy in self.policies]),
        )


@attrs.frozen(eq=False)
class _Made:
    """One plug-in that was chosen, and those that it had made for itself."""

    interface: InterfaceClass
    choice: Choice
    plug_in: Any
    parts: list[Any]


class Plugged:
    """What a server asks: ``location``, ``authenticator``, ``policies``.

    ``surroundings`` makes the surroundings of a plug-in from the two of them that are made here: how to have another
    plug-in made, and the credential sources. ``before`` are the plug-ins until now. Raises StartError of one line.
    """

    def __init__(
        self,
        settings: Settings,
        given: Given,
        surroundings: Callable[[PlugIn, Callable[[], Any]], Surroundings],
        seam: Seam,
        before: Plugged | None = None,
    ) -> None:
        self.settings = settings
        self._seam = seam
        self._given = given
        self._surroundings = surroundings
        self.made: list[_Made] = []
        self.source: Any = None if given.credentials is None else guarded(given.credentials, seam)
        self._kept: list[_Made] = []
        if before is not None:
            self._keep(before)
        try:
            self.location = given.location
            if self.location is None:
                self.location = self._choose(ILocationStore, settings.location)
            self.authenticator = given.authenticator
            if self.authenticator is None:
                chosen = [self._choose(IAuthenticator, choice) for choice in settings.authenticators]
                self.authenticator = chosen[0] if len(chosen) == 1 else self._chain(chosen)
            chosen = [self._choose(IPolicy, choice) for choice in settings.policies]
            self.policies: tuple[Any, ...] = (*given.policies, *chosen)
        except BaseException:
            _ = self.close(before)
            raise
        self._kept = []

    def _chain(self, chosen: list[Any]) -> Chain:
        return Chain([GuardedAuthenticator(one, self._seam) for one in chosen])

    def _keep(self, before: Plugged) -> None:
        self._kept = list(before.made)
        if before.settings.credentials == self.settings.credentials:
            self.source = before.source
            self.made += [made for made in self._kept if made.interface is ICredentialSource]
        else:
            gone = (ICredentialSource, IAuthenticator)
            self._kept = [made for made in self._kept if made.interface not in gone]

    def _credentials(self) -> Any:
        if self.source is None:
            chosen = [
                guarded(self._choose(ICredentialSource, choice), self._seam)
                for choice in self.settings.credentials
            ]
            self.source = chosen[0] if len(chosen) == 1 else FirstOf(chosen)
        return self.source

    def _choose(self, interface: InterfaceClass, choice: Choice) -> Any:
        for made in self._kept:
            if made.interface is interface and (made.choice == choice or interface is ILocationStore):
                self._kept.remove(made)
                break
        else:
            made = self._new(interface, choice)
        self.made.append(made)
        return made.plug_in

    def _new(self, interface: InterfaceClass, choice: Choice) -> _Made:
        kind = KINDS[interface]
        parts: list[Any] = []

        def part(interface: InterfaceClass, text: str) -> Any:
            plug_in = make(interface, Choice.parse(text), surroundings)
            parts.append(plug_in)
            plug_in = verified(interface, plug_in, KINDS[interface].noun)
            return guarded(plug_in, self._seam) if interface is ICredentialSource else plug_in

        surroundings = self._surroundings(part, self._credentials)
        try:
            plug_in = make(interface, choice, surroundings)
            parts.append(plug_in)
            return _Made(interface, choice, verified(interface, plug_in, f"{kind.noun} {choice.name}"), parts)
        except BaseException as error:
            _ = _close(parts)
            if isinstance(error, ValueError):
                raise StartError(f"--{kind.option}: {error}") from None
            if isinstance(error, StartError) or not isinstance(error, Exception):
                raise
            _log.failure("{option} {name} cannot be made", option=kind.option, name=choice.name)
            raise StartError(f"--{kind.option} {choice.name}: {type(error).__name__}: {error}") from error

    def close(self, keep: Plugged | None = None) -> Deferred[Any]:
        """Close what was made here, but for what ``keep`` has as well; fires when all of it is closed."""
        kept = [] if keep is None else keep.made
        return _close([part for made in self.made if made not in kept for part in made.parts])


def _provider(interface: InterfaceClass, plug_in: Any) -> Any:
    return None if plug_in is None else verified(interface, plug_in, KINDS[interface].noun)


def _close(plug_ins: list[Any]) -> Deferred[Any]:
    closing: list[Deferred[Any]] = []
    for plug_in in reversed(plug_ins):
        closeable: Any = ICloseable(plug_in, None)
        if closeable is None:
            continue
        try:
            answer = closeable.close()
        except Exception:
            _log.failure("{plug_in!r} cannot be closed", plug_in=plug_in)
            continue
        if isinstance(answer, CoroutineType):
            answer = Deferred.fromCoroutine(answer)
        if isinstance(answer, Deferred):
            closing.append(answer)
            _ = answer.addErrback(lambda failure: _log.failure("a plug-in cannot be closed", failure))
    return DeferredList(closing)
