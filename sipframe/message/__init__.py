"""Bytes to values and back: the SIP message grammar of RFC 3261 (7, 19, 20, 25), without I/O."""

from sipframe.message.build import REASONS, request_bytes, response_bytes
from sipframe.message.credentials import Credentials, parse_auth_params, parse_credentials
from sipframe.message.errors import MessageError
from sipframe.message.fields import CSeq, RetryAfter, WarningValue, format_date, parse_date
from sipframe.message.framing import Keepalive, StreamFramer
from sipframe.message.grammar import Params, param, quote, unquote
from sipframe.message.message import Message, Request, Response
from sipframe.message.name_addr import NameAddr, parse_name_addr, parse_name_addrs
from sipframe.message.reading import DEFAULT_LIMITS, Limits, parse_message
from sipframe.message.uri import URI, OtherURI, SipURI, aor_of, equivalent, parse_uri
from sipframe.message.via import COOKIE, Via, parse_vias, stamped

__all__ = [
    "COOKIE",
    "DEFAULT_LIMITS",
    "REASONS",
    "URI",
    "CSeq",
    "Credentials",
    "Keepalive",
    "Limits",
    "Message",
    "MessageError",
    "NameAddr",
    "OtherURI",
    "Params",
    "Request",
    "Response",
    "RetryAfter",
    "SipURI",
    "StreamFramer",
    "Via",
    "WarningValue",
    "aor_of",
    "equivalent",
    "format_date",
    "param",
    "parse_auth_params",
    "parse_credentials",
    "parse_date",
    "parse_message",
    "parse_name_addr",
    "parse_name_addrs",
    "parse_uri",
    "parse_vias",
    "quote",
    "request_bytes",
    "response_bytes",
    "stamped",
    "unquote",
]
