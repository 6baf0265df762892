"""The configuration file: one TOML file that can say all that settings can.

Rules: the keys are the names of :class:`~sipframe.config.Settings`' fields with hyphens, and tables are settings within
settings. A plug-in is text as on the command line (``"rate-limit:address-rate=10"``), or a table whose ``use`` is its
name and whose other keys are its arguments. Relative paths begin at the file's directory. **Every** mistake is
reported, each with its place in the file and what would be right there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from sipframe.arguments import describe, from_toml, with_hyphens
from sipframe.config import CHOICES, Settings
from sipframe.plugging import Choice, check

__all__ = ["ConfigurationError", "read_configuration"]


class ConfigurationError(ValueError):
    """``mistakes`` has one line each, in the order of the file's tables."""

    def __init__(self, file: Path, mistakes: list[str]) -> None:
        super().__init__(f"{file}: " + "; ".join(mistakes))
        self.file = file
        self.mistakes = mistakes


def read_configuration(file: Path, default_state: Path) -> Settings:
    """The settings that ``file`` describes. Raises ConfigurationError.

    ``default_state`` is the state directory of a file that names none.
    """
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(file, [str(error.strerror)]) from None
    except ValueError as error:  # also what is no UTF-8
        raise ConfigurationError(file, [str(error)]) from None
    except RecursionError:
        raise ConfigurationError(file, ["it is nested too deeply"]) from None
    reading = _Reading(file.absolute().parent)
    made: Settings = reading.settings(
        Settings, {"state": str(default_state), **table}, "", {"base": reading.base}
    )
    if reading.mistakes:
        raise ConfigurationError(file, reading.mistakes)
    return made


class _Reading:
    """One file on its way to be settings."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.mistakes: list[str] = []

    def settings(self, wanted: Any, table: object, place: str, given: Mapping[str, Any]) -> Any:
        """A table as a ``wanted``: an attrs class, or a NamedTuple. None when there is a mistake in it."""
        if not isinstance(table, dict):
            self._mistake(place, f"{_shown(table)} is not a table")
            return None
        before = len(self.mistakes)
        types = {name: hint for name, hint in get_type_hints(wanted).items() if name not in given}
        names = {name.replace("_", "-"): name for name in _fields(wanted) if name not in given}
        values = dict(given)
        for key, value in table.items():
            if key in names:
                values[names[key]] = self._value(types[names[key]], value, f"{place}.{key}" if place else key)
            else:
                self._mistake(place, f"there is no {key!r}, only {', '.join(sorted(names))}")
        if len(self.mistakes) > before:
            self._each_alone(wanted, values, place)
            return None
        missing = _missing(wanted, values)
        if missing:
            self._mistake(place, f"{' and '.join(missing)} must be given")
            return None
        try:
            return wanted(**values)
        except (ValueError, TypeError) as error:
            if not self._each_alone(wanted, values, place):
                self._mistake(place, str(error))
            return None

    def _each_alone(self, wanted: Any, values: Mapping[str, Any], place: str) -> bool:
        """Have every value that could be read looked at by its own rule; True when one is against it."""
        before = len(self.mistakes)
        for field in attrs.fields(wanted) if attrs.has(wanted) else ():
            value = values.get(field.name)
            if value is not None and field.validator is not None:
                try:
                    field.validator(None, field, value)
                except (ValueError, TypeError) as error:
                    key = field.name.replace("_", "-")
                    text = with_hyphens(error, [field.name])
                    for before_it in (f"'{key}' ", f"{key}: ", f"{key} "):
                        text = text.removeprefix(before_it)
                    self._mistake(f"{place}.{key}" if place else key, text)
        return len(self.mistakes) > before

    def _value(self, wanted: Any, value: object, place: str) -> Any:
        if wanted is Choice:
            return self._choice(value, place)
        if get_origin(wanted) is tuple:
            if not isinstance(value, list):
                self._mistake(place, f"{_shown(value)} is not a list")
                return None
            part = get_args(wanted)[0]
            before = len(self.mistakes)
            made = tuple([self._value(part, one, f"{place}[{i}]") for i, one in enumerate(value)])
            return made if len(self.mistakes) == before else None
        if isinstance(wanted, type) and isinstance(value, dict) and _fields(wanted):
            return self.settings(wanted, value, place, {})
        if isinstance(wanted, type) and _fields(wanted) and not hasattr(wanted, "parse"):
            self._mistake(place, f"{_shown(value)} is not a table")
            return None
        try:
            return from_toml(wanted, value, self.base)
        except ValueError as error:
            self._mistake(place, str(error))
            return None

    def _choice(self, value: object, place: str) -> Choice | None:
        if isinstance(value, str):
            try:
                choice = Choice.parse(value)
            except ValueError as error:
                self._mistake(place, str(error))
                return None
        elif isinstance(value, dict) and isinstance(value.get("use"), str):
            arguments = dict(value)
            choice = Choice(arguments.pop("use"), arguments)
        else:
            self._mistake(place, f"{_shown(value)} is not {describe(str)}, nor a table with 'use'")
            return None
        try:
            check(CHOICES[place.partition("[")[0]], choice, self.base)
        except ValueError as error:
            self._mistake(place, str(error))
        return choice

    def _mistake(self, place: str, text: str) -> None:
        line = " ".join(f"{place}: {text}".split() if place else text.split())
        if line not in self.mistakes:
            self.mistakes.append(line)


def _missing(wanted: Any, values: Mapping[str, Any]) -> list[str]:
    fields = attrs.fields(wanted) if attrs.has(wanted) else ()
    needed = [field.name for field in fields if field.default is attrs.NOTHING]
    return [name.replace("_", "-") for name in needed if name not in values]


def _fields(wanted: Any) -> tuple[str, ...]:
    if attrs.has(wanted):
        return tuple([field.name for field in attrs.fields(wanted)])
    return tuple(getattr(wanted, "_fields", ()))


def _shown(value: object) -> str:
    """A value in a message. Nothing that may be the arguments of a plug-in is shown: passwords may be among them."""
    if isinstance(value, dict | list):
        return "what is given"
    return repr(value.partition(":")[0] if isinstance(value, str) else value)
