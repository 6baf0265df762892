"""What goes over the admin socket, version 1.

A client connects to the UNIX stream socket and sends one request. The server answers it and closes: one request a
connection. Each is one JSON object on a line that ends with LF; characters beyond ASCII are escaped, and octets of the
network that are no UTF-8 are lone surrogates (Python's ``surrogateescape``). A request is an object with

- ``version``: 1;
- ``command``: one of those below; its fields stand beside it, none but those that it knows.

An answer is any number of lines, each an object with one key:

- ``item``: one thing that was found;
- ``live``: only of ``watch`` and ``trace``: all that was known has been sent, from now on items come as they happen.
  Its value is what ``end`` has elsewhere;
- ``missed``: of the same: so many items were left out, because the client did not read;
- ``end``: the last line. Its value is an object that sums up;
- ``error``: the last line as well. An object with ``kind`` (:class:`ErrorKind`) and ``text``, one line for a person.

An answer without ``end`` or ``error`` was broken off: the server has stopped, or the client read too slowly.

Commands and their fields; all of them may be left out, save where it says otherwise:

- ``why``: the answers that the server made, as items (:func:`decision_fields`). ``call_id`` and ``aor`` (text) ask for
  those about this Call-ID or that AOR; with neither only refusals come, unless ``all`` is true. The newest ``most``
  (10) come, the oldest of these first. The end has ``kept`` and ``most_kept`` (how many answers the server remembers,
  and may), ``oldest`` (when the first of them was, in seconds since 1970, or null), ``older_refusals`` (how many
  refusals it remembers from before) and ``matching`` (how many of all these were asked for).
- ``watch``: the same, then a ``live`` line and every further one until the client closes its side.
- ``trace``: every SIP message that comes or goes from now on, until the client closes its side. ``call_id`` and ``aor``
  (text) ask for those of this Call-ID or about that AOR. Items are :func:`traced_fields`. The live line has ``now``.
- ``bindings``: of ``aor`` (text), or of all. Items have ``aor`` and the fields of a
  :class:`~sipframe.verdicts.Binding`; what has expired is left out. The end has ``now``, seconds since 1970.
- ``remove``: take away the bindings of ``aor`` (text, needed), or only those whose contact equals ``contact`` (text).
  The items are the bindings that were removed, once that is durable. The phones are not told.
- ``counters``: one item: an object of names and numbers for each part of the server.

Rules: nothing here does I/O. A secret is nowhere in it: records have none, and from messages they are taken away. A
server refuses other versions; a new field or command is no new version.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

from sipframe.decisions import Decision, Step
from sipframe.tracing.tracer import Traced
from sipframe.verdicts import Address

__all__ = [
    "LONGEST_REQUEST",
    "SOCKET_NAME",
    "VERSION",
    "ErrorKind",
    "Malformed",
    "decision_fields",
    "decision_from",
    "decoded",
    "encoded",
    "traced_fields",
    "traced_from",
]

VERSION: Final = 1
SOCKET_NAME: Final = "admin.sock"
"""In the state directory."""
LONGEST_REQUEST: Final = 65_536
"""Octets of a request, LF included."""


class ErrorKind(StrEnum):
    """Why there is no answer."""

    REQUEST = "request"
    """The request is not one: no JSON, too long, a field of the wrong type or not known."""
    VERSION = "version"
    COMMAND = "command"
    """This server has no such command."""
    BUSY = "busy"
    """Too many clients are connected."""
    PERMISSION = "permission"
    """Only the server's own user and root are answered."""
    FAILED = "failed"
    """The server could not find it out."""


class Malformed(ValueError):
    """A line is not what it should be; the text is one line for a person."""


def encoded(line: dict[str, Any]) -> bytes:
    """``line`` as it goes over the socket, with its LF."""
    return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"


def decoded(line: bytes) -> dict[str, Any]:
    """The object on a line. Raises Malformed."""
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Malformed("not a line of JSON") from None
    if not isinstance(value, dict):
        raise Malformed("not an object of JSON")
    return value


def decision_fields(decision: Decision) -> dict[str, Any]:
    """A decision as an item: its fields by name, ``steps`` a list of objects, ``peer`` an object."""
    fields = decision._asdict()
    fields["peer"] = decision.peer._asdict()
    fields["steps"] = [step._asdict() for step in decision.steps]
    return fields


def decision_from(item: dict[str, Any]) -> Decision:
    """The decision in an item; fields that are not known are passed over. Raises Malformed when some are missing."""
    try:
        fields = {name: item[name] for name in Decision._fields}
        fields["peer"] = Address(item["peer"]["host"], item["peer"]["port"])
        fields["steps"] = tuple([Step(*[step[name] for name in Step._fields]) for step in item["steps"]])
    except (KeyError, TypeError) as error:
        raise Malformed(f"a decision without {error}") from None
    return Decision(**fields)


def traced_fields(traced: Traced) -> dict[str, Any]:
    """A message that passed as an item: its fields by name, both ends objects, ``message`` (text) for its octets."""
    fields = traced._asdict()
    fields["local"], fields["peer"] = traced.local._asdict(), traced.peer._asdict()
    fields["message"] = fields.pop("octets").decode("utf-8", "surrogateescape")
    return fields


def traced_from(item: dict[str, Any]) -> Traced:
    """The message in an item; fields that are not known are passed over. Raises Malformed when some are missing."""
    try:
        local, peer = [Address(str(item[end]["host"]), int(item[end]["port"])) for end in ("local", "peer")]
        octets = item["message"].encode("utf-8", "surrogateescape")
        return Traced(float(item["at"]), item["sent"] is True, str(item["transport"]), local, peer, octets)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Malformed(f"a message without {error}") from None
