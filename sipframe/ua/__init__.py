"""A small user agent client: it registers with a server, as a phone does, so that a person can watch."""

from sipframe.ua.answering import Choice, choose
from sipframe.ua.errors import ClientError
from sipframe.ua.registration import (
    Account,
    Action,
    Attempt,
    Contact,
    Finished,
    Registration,
    Verdict,
)
from sipframe.ua.server import Server, parse_server, server_of

__all__ = [
    "Account",
    "Action",
    "Attempt",
    "Choice",
    "ClientError",
    "Contact",
    "Finished",
    "Registration",
    "Server",
    "Verdict",
    "choose",
    "parse_server",
    "server_of",
]
