"""Plug-ins by name: what is installed, what was chosen, and how the one is made of the other.

Rules: a plug-in is anything that can be called with keyword arguments; **its parameters are its arguments**. Their
annotations say how text becomes a value, and ``Annotated[float, "seconds between two looks"]`` what an argument is
for. A parameter named ``surroundings`` gets a :class:`~sipframe.surroundings.Surroundings`, and one whose type is an attrs
class stands for that class's fields. What is packaged is found by name through ``sipframe.plugins``; anything else that
can be imported is found by its dotted name. Every mistake is a ValueError of one line.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import attrs
from twisted.plugin import IPlugin, getPlugins
from twisted.python.reflect import namedAny
from zope.interface import directlyProvides
from zope.interface.interface import InterfaceClass

from sipframe import plugins
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

__all__ = ["KINDS", "Argument", "Choice", "Kind", "Plugin", "find", "installed", "make"]

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


class Argument(NamedTuple):
    """One argument of a plug-in. ``default`` is text, or None when it must be given."""

    name: str
    type: Any
    default: str | None
    description: str


@attrs.frozen
class Choice:
    """A plug-in that was chosen: its name, or a dotted name, and its arguments by their names (with hyphens)."""

    name: str
    arguments: Mapping[str, object] = attrs.field(factory=dict)

    @classmethod
    def parse(cls, text: str) -> Choice:
        r"""Read ``name:key=value:key=value``; ``\:`` is a colon within a value. Raises ValueError."""
        name, *pairs = [part.replace("\0", ":") for part in text.replace("\\:", "\0").split(":")]
        if not name:
            raise ValueError(f"{text!r}: write NAME or NAME:KEY=VALUE:KEY=VALUE")
        arguments: dict[str, object] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not key or not equals:
                raise ValueError(f"{text}: {pair!r} is not KEY=VALUE (write a colon within a value as \\:)")
            if key in arguments:
                raise ValueError(f"{text}: {key} is there twice")
            arguments[key] = value
        return cls(name, arguments)

    def __str__(self) -> str:
        pairs = [f"{key}={value}".replace(":", "\\:") for key, value in self.arguments.items()]
        return ":".join([self.name, *pairs])


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
        directlyProvides(self, KINDS[interface].factory, IPlugin)

    def arguments(self) -> Sequence[Argument]:
        """What ``target`` takes. Raises ValueError when it cannot be imported."""
        return [argument for _, argument, _ in _parameters(self._import())]

    def create(self, arguments: Mapping[str, object], surroundings: Surroundings) -> object:
        """Call ``target``. Raises ValueError."""
        return _called(self._import(), arguments, surroundings)

    def _import(self) -> Callable[..., object]:
        try:
            return _imported(self.target)
        except ImportError as error:
            hint = "" if self.extra is None else f"; pip install 'sipframe[{self.extra}]'"
            raise ValueError(f"cannot be imported: {error}{hint}") from None


def installed(interface: InterfaceClass) -> dict[str, Any]:
    """The factories of one kind that are installed, by name. Of two with one name the first is taken."""
    found: dict[str, Any] = {}
    for factory in getPlugins(KINDS[interface].factory, plugins):
        found.setdefault(factory.name, factory)
    return dict(sorted(found.items()))


def find(interface: InterfaceClass, name: str) -> Any:
    """The factory that ``name`` chooses: an installed one, or any callable or factory by its dotted name.

    Raises ValueError that lists what is installed.
    """
    kind = KINDS[interface]
    factories = installed(interface)
    if name in factories:
        return factories[name]
    if "." not in name:
        raise ValueError(f"there is no {kind.noun} {name!r}, only {', '.join(factories)}, or a dotted name")
    try:
        target = _imported(name)
    except Exception as error:
        raise ValueError(f"{name} cannot be imported: {type(error).__name__}: {error}") from None
    if kind.factory.providedBy(target):
        return target
    if not callable(target):
        raise ValueError(f"{name} is no {kind.noun}, nor anything that makes one")
    return _Unpackaged(name, target)


def make(interface: InterfaceClass, choice: Choice, surroundings: Surroundings) -> object:
    """The plug-in that was chosen, ready to be asked. Raises ValueError of one line."""
    try:
        return find(interface, choice.name).create(dict(choice.arguments), surroundings)
    except ValueError as error:
        text = " ".join(str(error).split())
        raise ValueError(text if choice.name in text else f"{choice.name}: {text}") from None


class _Unpackaged:
    """A factory of what an importable callable makes."""

    def __init__(self, name: str, target: Callable[..., object]) -> None:
        self.name = name
        self.description = (inspect.getdoc(target) or "").partition("\n")[0]
        self._target = target

    def arguments(self) -> Sequence[Argument]:
        return [argument for _, argument, _ in _parameters(self._target)]

    def create(self, arguments: Mapping[str, object], surroundings: Surroundings) -> object:
        return _called(self._target, arguments, surroundings)


def _imported(name: str) -> Any:
    try:
        return namedAny(name)
    except (AttributeError, ValueError) as error:
        raise ImportError(str(error)) from error


def _called(
    target: Callable[..., object], arguments: Mapping[str, object], surroundings: Surroundings
) -> object:
    parameters = _parameters(target)
    unknown = sorted(arguments.keys() - {argument.name for _, argument, _ in parameters})
    if unknown:
        known = ", ".join(argument.name for _, argument, _ in parameters)
        raise ValueError(f"there is no argument {', '.join(unknown)}; {f'known: {known}' if known else 'it takes none'}")
    given: dict[str, Any] = {}
    groups: dict[str, tuple[type, dict[str, object]]] = {
        name: (group, {}) for name, group in _groups(target).items()
    }
    for keyword, argument, group in parameters:
        into = given if group is None else groups[group][1]
        if argument.name in arguments:
            into[keyword] = _value(argument, arguments[argument.name])
        elif argument.default is None:
            raise ValueError(f"the argument {argument.name} is missing")
    for name, (made, values) in groups.items():
        given[name] = made(**values)
    if "surroundings" in inspect.signature(target).parameters:
        given["surroundings"] = surroundings
    return target(**given)


def _hints(target: Callable[..., object]) -> dict[str, Any]:
    function: Any = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    namespace = vars(sys.modules[target.__module__]) if target.__module__ in sys.modules else {}
    try:
        # A plug-in may import the class of its surroundings for the type checker only.
        return get_type_hints(function, namespace, {"Surroundings": Surroundings}, include_extras=True)
    except NameError as error:
        raise ValueError(f"an annotation cannot be read when it runs: {error}") from None


def _groups(target: Callable[..., object]) -> dict[str, type]:
    hints = _hints(target)
    return {
        name: hints[name]
        for name in inspect.signature(target).parameters
        if name != "surroundings" and isinstance(hints.get(name), type) and attrs.has(hints[name])
    }


def _parameters(target: Callable[..., object]) -> list[tuple[str, Argument, str | None]]:
    """Keyword, argument and, for a field of an attrs class, the parameter that the class is for."""
    hints, groups = _hints(target), _groups(target)
    found: list[tuple[str, Argument, str | None]] = []
    for name, parameter in inspect.signature(target).parameters.items():
        if name == "surroundings" or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name in groups:
            group: Any = attrs.resolve_types(groups[name], include_extras=True)
            for field in attrs.fields(group):
                missing = field.default is attrs.NOTHING
                default = None if missing else _text(_default_of(field))
                found.append((field.name, _argument(field.name, field.type, default), name))
        else:
            required = parameter.default is parameter.empty
            default = None if required else _text(parameter.default)
            found.append((name, _argument(name, hints.get(name, str), default), None))
    return found


def _default_of(field: attrs.Attribute[Any]) -> object:
    default: Any = field.default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]


def _argument(name: str, annotation: Any, default: str | None) -> Argument:
    description = ""
    if get_origin(annotation) is Annotated:
        annotation, *notes = get_args(annotation)
        description = next((note for note in notes if isinstance(note, str)), "")
    return Argument(name.replace("_", "-"), annotation, default, description)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(str(one) for one in value)
    return str(value)


_YES_OR_NO: Mapping[str, bool] = types.MappingProxyType({"yes": True, "true": True, "no": False, "false": False})


def _value(argument: Argument, given: object) -> object:
    """``given``, text or what TOML has, as a value of the argument's type. Raises ValueError."""
    for wanted in _alternatives(argument.type):
        try:
            return _as(wanted, given)
        except (ValueError, TypeError):
            continue
    raise ValueError(f"{argument.name}: {given!r} is not {describe(argument.type)}")


def _alternatives(wanted: Any) -> tuple[Any, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)


def _as(wanted: Any, given: Any) -> object:
    origin = get_origin(wanted)
    if wanted is Any:
        return given
    if origin is Literal:
        if given in get_args(wanted):
            return given
        raise ValueError
    if origin is tuple:
        parts = given.split(",") if isinstance(given, str) else given
        if not isinstance(parts, Sequence):
            raise TypeError
        return tuple(_as(get_args(wanted)[0], part) for part in parts)
    if wanted is bool:
        return given if isinstance(given, bool) else _YES_OR_NO.get(str(given).lower()) or _no(given)
    if wanted in (int, float):
        if isinstance(given, bool):
            raise TypeError
        if wanted is int and isinstance(given, float):
            raise TypeError
        return wanted(given)
    if wanted is str or wanted is Path:
        if not isinstance(given, str | Path):
            raise TypeError
        return wanted(given)
    if wanted is type(None):
        raise ValueError
    if isinstance(given, wanted if origin is None else origin):
        return given
    if isinstance(given, str) and callable(getattr(wanted, "parse", None)):
        return wanted.parse(given)
    raise TypeError


def _no(given: object) -> bool:
    if str(given).lower() in _YES_OR_NO:
        return False
    raise ValueError


def describe(wanted: Any) -> str:
    """A type in words, for messages and lists of arguments."""
    names = {str: "text", int: "a whole number", float: "a number", bool: "yes or no", Path: "a path"}
    words = []
    for one in _alternatives(wanted):
        origin = get_origin(one)
        if one is type(None):
            continue
        if origin is Literal:
            words.append(" or ".join(str(value) for value in get_args(one)))
        elif origin is tuple:
            words.append(f"a list of {describe(get_args(one)[0]).removeprefix('a ')}")
        elif origin is not None and issubclass(origin, Mapping):
            words.append("a table")
        else:
            words.append(names.get(one, getattr(one, "__name__", str(one))))
    return " or ".join(words)
