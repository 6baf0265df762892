"""Plug-ins by name: what is installed, what was chosen, and how the one is made of the other.

Rules: a plug-in is anything that can be called with keyword arguments; **its parameters are its arguments**. Their
annotations say how text becomes a value, and ``Annotated[float, "seconds between two looks"]`` what an argument is
for. A parameter named ``surroundings`` gets a :class:`~sipframe.surroundings.Surroundings`, and one whose type is an
attrs class stands for that class's fields. What is packaged is found by name through ``sipframe.plugins``; anything
else that can be imported is found by its dotted name. Every mistake is a ValueError of one line.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import attrs
from twisted.plugin import IPlugin
from twisted.python.modules import getModule
from twisted.python.reflect import ObjectNotFound, namedAny
from zope.interface import directlyProvides
from zope.interface.interface import InterfaceClass

from sipframe import plugins
from sipframe.arguments import Argument, as_text, from_text, from_toml, with_hyphens
from sipframe.interfaces import (
    IAuthenticator,
    IAuthenticatorFactory,
    ICredentialSource,
    ICredentialSourceFactory,
    ILocationStore,
    ILocationStoreFactory,
    IPolicy,
    IPolicyFactory,
)
from sipframe.surroundings import Surroundings

__all__ = ["KINDS", "Choice", "Installed", "Kind", "Plugin", "check", "find", "installed", "make"]

_NAME = re.compile(r"[a-z0-9-]+")


class Kind(NamedTuple):
    """One sort of plug-in: its interface, that of its factories, what it is called and the option that chooses it."""

    interface: InterfaceClass
    factory: InterfaceClass
    noun: str
    option: str


KINDS: Mapping[InterfaceClass, Kind] = types.MappingProxyType(
    {
        kind.interface: kind
        for kind in (
            Kind(ICredentialSource, ICredentialSourceFactory, "credential source", "credentials"),
            Kind(IAuthenticator, IAuthenticatorFactory, "authenticator", "auth"),
            Kind(ILocationStore, ILocationStoreFactory, "location store", "location"),
            Kind(IPolicy, IPolicyFactory, "policy", "policy"),
        )
    }
)


@attrs.frozen
class Choice:
    """A plug-in that was chosen: its name, or a dotted name, and its arguments by their names (with hyphens)."""

    name: str
    arguments: Mapping[str, object] = attrs.field(factory=dict, repr=False)  # passwords may be among them

    @classmethod
    def parse(cls, text: str) -> Choice:
        r"""Read ``name:key=value:key=value``; ``\:`` is a colon within a value. Raises ValueError."""
        name, *pairs = [part.replace("\0", ":") for part in text.replace("\\:", "\0").split(":")]
        if not name:
            raise ValueError("there is no name: write NAME or NAME:KEY=VALUE:KEY=VALUE")
        arguments: dict[str, object] = {}
        before = "the name"
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not key or not equals:
                # It may be the rest of a password, so it is not repeated.
                raise ValueError(
                    f"{name}: what follows {before} is not KEY=VALUE (write a colon within a value as \\:)"
                )
            if key in arguments:
                raise ValueError(f"{name}: {key} is there twice")
            arguments[key] = value
            before = key
        return cls(name, arguments)


class Plugin:
    """A packaged plug-in for a file in ``sipframe/plugins/``: a factory (IPluginFactory) of what ``target`` makes.

    ``interface`` is what it makes: ICredentialSource, IAuthenticator, ILocationStore or IPolicy. ``target`` is the
    dotted name of a class or function, imported when it is needed. ``extra`` names the optional dependencies that it
    needs, as in ``pip install 'sipframe[http]'``. Raises ValueError for a name that nobody could type.
    """

    def __init__(
        self, interface: InterfaceClass, name: str, target: str, description: str, *, extra: str | None = None
    ) -> None:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r}: lower-case letters, digits and hyphens")
        self.name = name
        self.target = target
        self.description = description
        self.extra = extra
        directlyProvides(self, KINDS[interface].factory, IPlugin)  # getPlugins() finds it as well

    def arguments(self) -> Sequence[Argument]:
        """What ``target`` takes. Raises ValueError when it cannot be imported."""
        return [parameter.argument for parameter in _parameters(self._import())[1]]

    def create(self, arguments: Mapping[str, object], surroundings: Surroundings) -> object:
        """Call ``target``. Raises ValueError."""
        return _called(self._import(), arguments, surroundings)

    def check(self, arguments: Mapping[str, object], base: Path) -> None:
        """Raise ValueError when ``target`` cannot be called with ``arguments``; it is not."""
        _ = _bound(self._import(), arguments, base)

    def _import(self) -> Any:
        try:
            return _imported(self.target)
        except ImportError as error:
            hint = "" if self.extra is None else f"; pip install 'sipframe[{self.extra}]'"
            raise ValueError(f"cannot be imported: {error}{hint}") from None


class Installed(NamedTuple):
    """What is packaged: factories by name, and the files that cannot be imported, with the reason."""

    factories: dict[str, Any]
    broken: dict[str, str]


def installed(interface: InterfaceClass) -> Installed:
    """The factories of one kind. Of two with one name the first in the order of their files is taken.

    ``twisted.plugin.getPlugins`` would do, but for what it makes of a broken file: a traceback in the log, each time.
    """
    wanted: Any = KINDS[interface].factory
    found = Installed({}, {})
    for module in sorted(getModule(plugins.__name__).iterModules(), key=lambda module: module.name):
        try:
            loaded = module.load()
        except (Exception, SystemExit) as error:
            found.broken[module.name] = f"{type(error).__name__}: {error}"
            continue
        for value in vars(loaded).values():
            if wanted.providedBy(value):
                found.factories.setdefault(value.name, value)
    return found


def find(interface: InterfaceClass, name: str) -> Any:
    """The factory that ``name`` chooses: an installed one, or any callable or factory by its dotted name.

    Raises ValueError that lists what is installed.
    """
    kind = KINDS[interface]
    factories, broken = installed(interface)
    if name in factories:
        return factories[name]
    if "." not in name:
        excuse = "".join([f"; {file} cannot be imported: {reason}" for file, reason in broken.items()])
        raise ValueError(
            f"there is no {kind.noun} {name!r}, only {', '.join(sorted(factories))}, or a dotted name{excuse}"
        )
    try:
        target = _imported(name)
    except Exception as error:
        reason = str(error) if isinstance(error, _NoSuchName) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{name!r} cannot be imported: {reason}") from None
    wanted: Any = kind.factory
    if wanted.providedBy(target):
        return target
    if not callable(target):
        raise ValueError(f"{name!r} is no {kind.noun}, nor anything that makes one")
    return _Unpackaged(name, target)


def check(interface: InterfaceClass, choice: Choice, base: Path) -> None:
    """Raise ValueError of one line when ``choice`` names nothing that can be made of its arguments; make nothing."""
    with _naming(choice):
        factory = find(interface, choice.name)
        if isinstance(factory, Plugin | _Unpackaged):
            factory.check(choice.arguments, base)


def make(interface: InterfaceClass, choice: Choice, surroundings: Surroundings) -> object:
    """The plug-in that was chosen, ready to be asked. Raises ValueError of one line."""
    with _naming(choice):
        return find(interface, choice.name).create(dict(choice.arguments), surroundings)


@contextmanager
def _naming(choice: Choice) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        text = " ".join(str(error).split())
        raise ValueError(text if repr(choice.name) in text else f"{choice.name}: {text}") from None


class _Unpackaged:
    """A factory of what an importable callable makes."""

    def __init__(self, name: str, target: Callable[..., object]) -> None:
        self.name = name
        self.description = (inspect.getdoc(target) or "").partition("\n")[0]
        self._target = target

    def arguments(self) -> Sequence[Argument]:
        return [parameter.argument for parameter in _parameters(self._target)[1]]

    def create(self, arguments: Mapping[str, object], surroundings: Surroundings) -> object:
        return _called(self._target, arguments, surroundings)

    def check(self, arguments: Mapping[str, object], base: Path) -> None:
        _ = _bound(self._target, arguments, base)


class _NoSuchName(ImportError):
    """Nothing is called so; the text says why, for who typed the name."""


def _imported(name: str) -> Any:
    try:
        return namedAny(name)
    except ObjectNotFound:
        top = name.partition(".")[0]
        raise _NoSuchName(
            f"Python finds no module {top!r}; PYTHONPATH=DIRECTORY before the command says where to look"
        ) from None
    except (AttributeError, ValueError) as error:
        raise _NoSuchName(str(error)) from error


class _Parameter(NamedTuple):
    """Where an argument goes: to the keyword, or to the field of the attrs class that ``group`` expects."""

    keyword: str
    group: str | None
    argument: Argument


def _called(
    target: Callable[..., object], arguments: Mapping[str, object], surroundings: Surroundings
) -> object:
    given = _bound(target, arguments, surroundings.base)
    if "surroundings" in inspect.signature(target).parameters:
        given["surroundings"] = surroundings
    return target(**given)


def _bound(target: Callable[..., object], arguments: Mapping[str, object], base: Path) -> dict[str, Any]:
    """``arguments`` as keyword arguments of ``target``. Raises ValueError."""
    groups, parameters = _parameters(target)
    names = [parameter.argument.name for parameter in parameters]
    unknown = sorted(arguments.keys() - set(names))
    if unknown:
        known = f"known: {', '.join(names)}" if names else "it takes none"
        raise ValueError(f"there is no argument {', '.join(unknown)}; {known}")
    given: dict[str, Any] = {}
    fields: dict[str, dict[str, Any]] = {group: {} for group in groups}
    for keyword, group, argument in parameters:
        if argument.name in arguments:
            value = _value(argument, arguments[argument.name], base)
            (given if group is None else fields[group])[keyword] = value
        elif argument.default is None:
            raise ValueError(f"the argument {argument.name} is missing")
    for group, made in groups.items():
        try:
            given[group] = made(**fields[group])
        except ValueError as error:
            raise ValueError(with_hyphens(error, [field.name for field in attrs.fields(made)])) from None
    return given


def _value(argument: Argument, given: object, base: Path) -> object:
    try:
        if isinstance(given, str):
            return from_text(argument.type, given, base)
        return from_toml(argument.type, given, base)
    except ValueError as error:
        raise ValueError(f"{argument.name}: {error}") from None


def _parameters(target: Callable[..., object]) -> tuple[dict[str, Any], list[_Parameter]]:
    """The parameters that are attrs classes, and everything that can be given."""
    hints = _hints(target)
    groups: dict[str, Any] = {}
    found: list[_Parameter] = []
    for name, parameter in inspect.signature(target).parameters.items():
        if name == "surroundings" or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        hint = hints.get(name, str)
        if isinstance(hint, type) and attrs.has(hint):
            groups[name] = attrs.resolve_types(hint, include_extras=True)
            for field in attrs.fields(hint):
                default = None if field.default is attrs.NOTHING else as_text(_default_of(field))
                found.append(_Parameter(field.name, name, Argument.of(field.name, field.type, default)))
        else:
            default = None if parameter.default is parameter.empty else as_text(parameter.default)
            found.append(_Parameter(name, None, Argument.of(name, hint, default)))
    return groups, found


def _hints(target: Any) -> dict[str, Any]:
    function = getattr(target, "__init__") if isinstance(target, type) else target  # noqa: B009
    namespace = vars(sys.modules[target.__module__])
    try:
        # A plug-in may import the class of its surroundings for the type checker only.
        return get_type_hints(function, namespace, {"Surroundings": Surroundings}, include_extras=True)
    except NameError as error:
        raise ValueError(f"an annotation cannot be read when it runs: {error}") from None


def _default_of(field: attrs.Attribute[Any]) -> object:
    default: Any = field.default
    return default.factory() if hasattr(default, "factory") else default
