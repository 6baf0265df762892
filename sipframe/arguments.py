"""Values of settings and of plug-ins' arguments: out of text, as a command line has it, or out of what TOML has.

Rules: the type says what is right, and nothing is guessed: in a TOML file a number in quotes is text, while a command
line has nothing but text. What is wrong is a ValueError that says what would be right.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

__all__ = ["Argument", "as_text", "describe", "from_text", "from_toml", "with_hyphens"]

_YES_OR_NO: Mapping[str, bool] = types.MappingProxyType(
    {"yes": True, "true": True, "no": False, "false": False}
)
_WORDS: Mapping[Any, str] = types.MappingProxyType(
    {str: "text", int: "a whole number", float: "a number", bool: "yes or no", Path: "a path"}
)


class Argument(NamedTuple):
    """One argument of a plug-in. ``default`` is text, or None when it must be given."""

    name: str
    type: Any
    default: str | None
    description: str

    @classmethod
    def of(cls, name: str, annotation: Any, default: str | None) -> Argument:
        """An argument for a parameter ``name``, described by the text in its ``Annotated[...]``."""
        description = ""
        if get_origin(annotation) is Annotated:
            annotation, *notes = get_args(annotation)
            description = next((note for note in notes if isinstance(note, str)), "")
        return cls(name.replace("_", "-"), annotation, default, description)


def from_text(wanted: Any, text: str, base: Path | None = None) -> Any:
    """``text`` as a value of type ``wanted``; a relative path begins at ``base``. Raises ValueError."""
    return _first(wanted, text, base, _from_text, _WORDS[bool])


def _first(
    wanted: Any, given: Any, base: Path | None, read: Callable[[Any, Any, Path | None], Any], truth: str
) -> Any:
    words = ""
    for one in _alternatives(wanted):
        try:
            return read(one, given, base)
        except ValueError as error:
            if hasattr(one, "parse") and isinstance(given, str):
                words = str(error)  # the type knows better what is wrong
    # What stands where a table should may hold what belongs into it: users and passwords.
    hidden = isinstance(given, Mapping | list) or any(_is_table(one) for one in _alternatives(wanted))
    shown = "what is given" if hidden else repr(given)
    raise ValueError(words or f"{shown} is not {describe(wanted, truth)}")


def _from_text(wanted: Any, text: str, base: Path | None) -> Any:
    if get_origin(wanted) is tuple:
        part = get_args(wanted)[0]
        return tuple([from_text(part, one, base) for one in text.split(",")])
    if wanted is bool:
        if text.lower() not in _YES_OR_NO:
            raise ValueError
        return _YES_OR_NO[text.lower()]
    if wanted in (int, float):
        return wanted(text)
    return _from_either(wanted, text, base)


def from_toml(wanted: Any, given: Any, base: Path | None = None) -> Any:
    """``given``, a value that ``tomllib`` made, as one of type ``wanted``. Raises ValueError."""
    return _first(wanted, given, base, _from_toml, "true or false")


def _from_toml(wanted: Any, given: Any, base: Path | None) -> Any:
    if get_origin(wanted) is tuple:
        if not isinstance(given, list | tuple):
            raise ValueError
        part = get_args(wanted)[0]
        return tuple([from_toml(part, one, base) for one in given])
    if wanted is float and type(given) is int:
        return float(given)
    if wanted in (int, float, bool):
        if type(given) is not wanted:
            raise ValueError
        return given
    return _from_either(wanted, given, base)


def _from_either(wanted: Any, given: Any, base: Path | None) -> Any:
    origin = get_origin(wanted)
    if origin is Literal:
        if given not in get_args(wanted):
            raise ValueError
        return given
    if wanted is Path:
        if not isinstance(given, str | Path) or not str(given):
            raise ValueError
        return Path(given) if base is None else base / given
    if _is_table(wanted):
        if not isinstance(given, Mapping):
            raise ValueError
        part = get_args(wanted)[1]
        return {key: from_toml(part, value, base) for key, value in given.items()}
    if wanted is type(None):
        if given is not None:
            raise ValueError
        return None
    if wanted is Any or isinstance(given, wanted):
        return given
    parse = getattr(wanted, "parse", None)
    if parse is None or not isinstance(given, str):
        raise ValueError
    return parse(given)


def _is_table(wanted: Any) -> bool:
    origin = get_origin(wanted)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _alternatives(wanted: Any) -> tuple[Any, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)


def as_text(value: object) -> str:
    """A default as a command line would have it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join([as_text(one) for one in value])
    return str(value)


def with_hyphens(error: Exception, names: Iterable[str]) -> str:
    """What ``error`` says about fields, with their ``names`` as a user types them: ``open-for``, not ``open_for``."""
    text = str(error.args[0] if error.args else error)
    for name in names:
        text = text.replace(name, name.replace("_", "-"))
    return text


def describe(wanted: Any, truth: str = _WORDS[bool]) -> str:
    """A type in words, for messages and lists of arguments. ``truth`` is what a bool may be."""
    words: list[str] = []
    for one in _alternatives(wanted):
        origin = get_origin(one)
        if one is type(None):
            continue
        if origin is Literal:
            words.append(" or ".join([str(value) for value in get_args(one)]))
        elif origin is tuple:
            words.append(f"a list, each {describe(get_args(one)[0], truth)}")
        elif _is_table(one):
            words.append("a table")
        elif one is bool:
            words.append(truth)
        else:
            words.append(_WORDS.get(one, getattr(one, "__name__", str(one))))
    return " or ".join(words)
