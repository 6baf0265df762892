"""The header fields that are numbers, dates or short texts (RFC 3261 20).

Rules: each function turns the text of one field value into its value, or raises MessageError naming the field.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

from sipframe.message.errors import MessageError
from sipframe.message.grammar import (
    QUOTED,
    TOKEN,
    TOKEN_CHARACTERS,
    Params,
    parse_params,
    split_list,
    unquote,
)

__all__ = [
    "CSeq",
    "RetryAfter",
    "WarningValue",
    "format_date",
    "parse_cseq",
    "parse_date",
    "parse_retry_after",
]

_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) "
    r"(\d\d):(\d\d):(\d\d) GMT",
    re.ASCII,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RETRY_AFTER = re.compile(
    r"([0-9]{1,10})[ \t]*+(?>(\((?>(?:[^()\\]++|\\.|\((?>(?:[^()\\]++|\\.)*)\))*)\))?)[ \t]*+((?>(?:;.*)?))",
    re.ASCII | re.DOTALL,
)
_CSEQ = re.compile(rf"([0-9]{{1,10}})[ \t]++({TOKEN}++)", re.ASCII)
_WARNING = re.compile(rf"([0-9]{{3}}) ([{TOKEN_CHARACTERS}\[\]:]++) ({QUOTED})", re.ASCII)


_new = tuple.__new__  # what a NamedTuple does, without the detour


class CSeq(NamedTuple):
    """RFC 3261 20.16."""

    number: int
    method: str


class RetryAfter(NamedTuple):
    """RFC 3261 20.33; ``seconds`` from now."""

    seconds: int
    comment: str
    params: Params


class WarningValue(NamedTuple):
    """RFC 3261 20.43."""

    code: int
    agent: str
    text: str


def parse_cseq(text: str) -> CSeq:
    """RFC 3261 8.1.1.5: a number under 2**31, blanks, a method."""
    match = _CSEQ.fullmatch(text)
    if match is None:
        raise MessageError("Malformed CSeq")
    digits, method = match.groups()
    number = int(digits)
    if number >= 2**31:
        raise MessageError("CSeq number out of range")
    return _new(CSeq, (number, method))


def whole_number(text: str, field: str, limit: int) -> int:
    """``1*DIGIT`` from 0 to ``limit``."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise MessageError(f"Malformed {field}")
    value = int(text)
    if value > limit:
        raise MessageError(f"{field} out of range")
    return value


def parse_retry_after(text: str) -> RetryAfter:
    """RFC 3261 20.33."""
    match = _RETRY_AFTER.fullmatch(text)
    if match is None:
        raise MessageError("Malformed Retry-After")
    seconds, comment, params = match.groups()
    return RetryAfter(int(seconds), comment[1:-1] if comment else "", parse_params(params))


def parse_warnings(values: list[str]) -> tuple[WarningValue, ...]:
    """RFC 3261 20.43."""
    found: list[WarningValue] = []
    for value in values:
        for item in split_list(value):
            match = _WARNING.fullmatch(item)
            if match is None:
                raise MessageError("Malformed Warning")
            found.append(WarningValue(int(match.group(1)), match.group(2), unquote(match.group(3))))
    return tuple(found)


def parse_date(text: str) -> datetime:
    """RFC 3261 20.17: the time zone is GMT and nothing else. The result is aware, in UTC."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise MessageError("Malformed Date")
    _, day, month, year, hour, minute, second = match.groups()
    try:
        return datetime(
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            59 if second == "60" else int(second),
            tzinfo=UTC,
        )
    except ValueError:
        raise MessageError("Malformed Date") from None


def format_date(seconds: float) -> str:
    """A Date field's value for ``seconds`` since 1970 (RFC 3261 20.17)."""
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)
