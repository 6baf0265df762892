"""The reading of everything in a message.

:func:`touch` asks a message for all it has and collects what it refuses.
"""

from __future__ import annotations

from typing import Any

from sipframe.message import (
    Message,
    MessageError,
    NameAddr,
    Request,
    Response,
    SipURI,
    aor_of,
    equivalent,
    param,
)

__all__ = ["attempt", "properties", "touch"]


def properties(kind: type[Message]) -> list[str]:
    """The names of everything that can be asked of a message of this kind."""
    everything = {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}
    return [
        name
        for name, value in everything.items()
        if not name.startswith("_") and hasattr(value, "__get__") and not callable(value)
    ]


def attempt(thing: object, name: str) -> tuple[Any, MessageError | None]:
    """The value of an attribute, or the error that refuses it."""
    try:
        return getattr(thing, name), None
    except MessageError as error:
        return None, error


def touch(message: Request | Response) -> list[MessageError]:
    """Ask for everything of a message and of the values in it; what is refused is returned, in order.

    Anything but a MessageError comes through; so does a refusal that is not repeated.
    """
    refused: list[MessageError] = []

    def ask(thing: Any, name: str) -> Any:
        value, error = attempt(thing, name)
        if error is not None:
            _, again = attempt(thing, name)
            assert again is not None
            assert (again.reason, again.status) == (error.reason, error.status)
            assert error.reason.isprintable()
            refused.append(error)
        return value

    for name in properties(type(message)):
        value = ask(message, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, NameAddr):
                for part in ("tag", "q", "expires"):
                    ask(one, part)
                str(one)
                uri = ask(one, "uri")
                if isinstance(uri, SipURI):
                    aor_of(uri)
                    assert equivalent(uri, uri)
            elif name == "vias" and one is not None:
                assert one.sent_by[0] == one.host.lower()
                assert param(one.params, "branch") == one.branch
                _ = one.received, one.rport, one.maddr
    message.to_bytes()
    return refused
