"""The small grammar that header fields share (RFC 3261 25.1): tokens, quoted strings, lists and parameters.

Rules: every function takes text whose folding is undone already, and looks at each character a bounded number of
times (all repetition is possessive or atomic). Leniency is listed here and nowhere else:

- a parameter's value may hold ``= / @ & ? $`` besides token and host characters (branches and tags of real phones);
- a display name that is not quoted may hold characters beyond ASCII;
- white space may be missing between a display name and ``<`` (RFC 4475 3.1.1.6);
- a comma may be missing between the parameters of credentials (RFC 3665 2.1 F3 prints such a field).
"""

from __future__ import annotations

import re
from typing import Final

from sipframe.message.errors import MessageError

__all__ = ["Params", "param", "parse_params", "quote", "split_list", "tokens", "unquote"]

Params = tuple[tuple[str, str | None], ...]
"""Parameters in order: the name in lower case, the value as it stands (quotes included), None without ``=``."""

# What is possessive is one character class. Groups are atomic instead: a possessive group that has begun to match and
# fails is matched wrongly before CPython 3.11.5 (gh-106052).
TOKEN_CHARACTERS: Final = r"A-Za-z0-9\-.!%*_+`'~"
TOKEN: Final = f"[{TOKEN_CHARACTERS}]"
QUOTED: Final = r'"(?>(?:[^"\\\r\n]++|\\[^\r\n])*)"'
_VALUE: Final = rf"[{TOKEN_CHARACTERS}\[\]:=/@&?$]"
_PARAM = re.compile(rf"[ \t]*+;[ \t]*+({TOKEN}++)(?>(?:[ \t]*+=[ \t]*+({QUOTED}|{_VALUE}++))?)[ \t]*+")
_SIMPLE_PARAMS = re.compile(rf";({TOKEN}++)(?>(?:=({_VALUE}++))?)|(.+)", re.DOTALL)
_TAG_ALONE = re.compile(rf";tag=({TOKEN}++)")
_TOKEN = re.compile(rf"{TOKEN}++")
_LIST_ITEM = re.compile(rf"(?>(?:[^\",<]++|{QUOTED}|<[^<>]*+>)*)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_params(text: str) -> Params:
    """Parse ``*( SEMI generic-param )``; ``text`` is empty or begins with a semicolon."""
    if not text:
        return ()
    tag = _TAG_ALONE.fullmatch(text)  # nearly every From, and every To that has one
    if tag is not None:
        return (("tag", tag.group(1)),)
    if '"' not in text and " " not in text and "\t" not in text:
        found: list[tuple[str, str | None]] = []
        for name, value, junk in _SIMPLE_PARAMS.findall(text):
            if junk:
                raise MessageError("Malformed parameter")
            found.append((name.lower(), value or None))
    else:
        found = []
        position = 0
        while position < len(text):
            match = _PARAM.match(text, position)
            if match is None:
                raise MessageError("Malformed parameter")
            name, value = match.groups()
            found.append((name.lower(), value))
            position = match.end()
    if len(found) > 1 and len(dict(found)) != len(found):
        # RFC 3261 7.3.1: any given parameter-name MUST NOT appear more than once.
        raise MessageError("Repeated parameter")
    return tuple(found)


def param(params: Params, name: str) -> str | None:
    """The value of the parameter ``name`` (lower case) with quotes taken off, ``""`` when it stands bare, or None."""
    for key, value in params:
        if key == name:
            return "" if value is None else unquote(value)
    return None


def params_text(params: Params) -> str:
    """Write parameters back, each with its leading semicolon."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params])


def unquote(text: str) -> str:
    """Take off the quotes of a quoted string and undo its quoted pairs; a token comes back as it is."""
    if text[:1] != '"':
        return text
    inner = text[1:-1]
    return _ESCAPE.sub(r"\1", inner) if "\\" in inner else inner


def quote(text: str) -> str:
    """Write ``text`` as a quoted string. CR and LF, which it cannot hold (RFC 3261 25.1), become blanks."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\r", " ").replace("\n", " ") + '"'


def split_list(text: str) -> list[str]:
    """Cut a field value at the commas that stand outside quotes and angle brackets (RFC 3261 7.3.1).

    Raises MessageError on an empty item, or quotes or brackets that do not close.
    """
    if "," not in text:
        return [text]
    if '"' not in text and "<" not in text:
        items = [item.strip(" \t") for item in text.split(",")]
    else:
        items = []
        position = 0
        while True:
            match = _LIST_ITEM.match(text, position)
            assert match is not None  # it matches the empty string
            items.append(match.group().strip(" \t"))
            position = match.end()
            if position == len(text):
                break
            if text[position] != ",":
                raise MessageError("Unbalanced quotes or brackets")
            position += 1
    if not all(items):
        raise MessageError("Empty value in a list")
    return items


def tokens(values: list[str]) -> tuple[str, ...]:
    """The tokens of a comma-separated list that may be empty and may stand in several fields."""
    found: list[str] = []
    for value in values:
        if value:
            for item in split_list(value):
                if not _TOKEN.fullmatch(item):
                    raise MessageError("Malformed token")
                found.append(item)
    return tuple(found)


def is_token(text: str) -> bool:
    """Whether ``text`` is one token (RFC 3261 25.1)."""
    return _TOKEN.fullmatch(text) is not None
