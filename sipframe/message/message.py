"""Requests and responses: raw lines kept, typed values on demand (RFC 3261 7).

Rules: a message never changes after it was read. Its header lines are kept as they came and in order, so that what is
not understood survives a round trip. A typed value is parsed when it is first asked for and kept; a failed parse is
kept too and raised each time. Text is decoded from UTF-8 with ``surrogateescape``: any octets come back as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final, Generic, TypeVar, overload

from sipframe.message.credentials import Credentials, parse_auth_params, parse_credentials
from sipframe.message.errors import MessageError
from sipframe.message.fields import (
    CSeq,
    RetryAfter,
    WarningValue,
    parse_cseq,
    parse_date,
    parse_retry_after,
    parse_warnings,
    whole_number,
)
from sipframe.message.grammar import tokens
from sipframe.message.name_addr import NameAddr, delta_seconds, parse_name_addr, parse_name_addrs
from sipframe.message.uri import URI, parse_uri
from sipframe.message.via import Via, parse_vias, salvaged

__all__ = ["Message", "Request", "Response"]

T = TypeVar("T")

_USUAL_HOPS: Final = {str(hops): hops for hops in range(256)}
_new = tuple.__new__  # what a NamedTuple does, without the detour


class _Typed(Generic[T]):
    """A value of a message that is parsed once: the value takes this descriptor's place on the message."""

    def __init__(self, parse: Callable[[Message], T], field: str) -> None:
        self._parse = parse
        self._field = field
        self._name = parse.__name__
        self.__doc__ = parse.__doc__

    @overload
    def __get__(self, message: None, owner: type) -> _Typed[T]: ...
    @overload
    def __get__(self, message: Message, owner: type) -> T: ...
    def __get__(self, message: Message | None, owner: type) -> _Typed[T] | T:
        if message is None:
            return self
        if message.failures:
            self._raise_again(message.failures)
        try:
            value = self._parse(message)
        except MessageError as error:
            reason = error.reason if self._field in error.reason else f"{error.reason} in {self._field}"
            message.failures = {**(message.failures or {}), self._name: (reason, error.status)}
            raise MessageError(reason, error.status) from None
        setattr(message, self._name, value)  # by way of its __dict__, Python would have to make one
        return value

    if TYPE_CHECKING:  # there is none, or the value could not take this one's place

        def __set__(self, message: Message, value: T) -> None: ...

    def _raise_again(self, failures: dict[str, tuple[str, int]]) -> None:
        failure = failures.get(self._name)
        if failure is not None:
            raise MessageError(*failure)


def typed(field: str) -> Callable[[Callable[..., T]], _Typed[T]]:
    """Make a method that parses ``field`` into an attribute that is parsed once."""
    return lambda parse: _Typed(parse, field)


class Message:
    """What requests and responses share. Do not construct one: read it with :func:`parse_message` or a framer."""

    body: bytes
    lines: list[str]
    """The header field lines as they came, without their final CRLF; a folded field is one line with CRLFs inside."""
    fields: dict[str, list[str]]
    """Canonical name to the values, unfolded, blanks at both ends taken off, in order."""
    failures: dict[str, tuple[str, int]] | None

    @property
    def start_line(self) -> str:
        """The first line, without CRLF."""
        raise NotImplementedError  # pragma: no cover - both kinds have one

    def first(self, name: str) -> str | None:
        """The first value of the field ``name`` (canonical form: ``call-id``), or None."""
        values = self.fields.get(name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """All values of the field ``name``, one for each time it stands; commas are not cut."""
        return self.fields.get(name, [])

    def required(self, name: str, spelled: str) -> str:
        """The value of a field that stands exactly once. Raises MessageError otherwise (RFC 3261 8.1.1)."""
        values = self.fields.get(name)
        if values is None:
            raise MessageError(f"Missing {spelled}")
        if len(values) > 1:
            raise MessageError(f"Repeated {spelled}")
        return values[0]

    def to_bytes(self) -> bytes:
        """The message as it came (or, for UDP, without what followed its body)."""
        head = "\r\n".join([self.start_line, *self.lines])
        return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body

    @typed("Via")
    def vias(self) -> tuple[Via, ...]:
        """All Via values, topmost first; at least one."""
        values = self.fields.get("via")
        if not values:
            raise MessageError("Missing Via")
        return parse_vias(values)

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return self.vias[0]

    @typed("From")
    def from_(self) -> NameAddr:
        """From (RFC 3261 20.20)."""
        return parse_name_addr(self.required("from", "From"))

    @typed("To")
    def to(self) -> NameAddr:
        """To (RFC 3261 20.39)."""
        return parse_name_addr(self.required("to", "To"))

    @typed("Call-ID")
    def call_id(self) -> str:
        """Call-ID: visible ASCII without blanks, compared octet by octet (RFC 3261 20.8)."""
        value = self.required("call-id", "Call-ID")
        if not value.isascii() or not value.isprintable() or " " in value or not value:
            raise MessageError("Malformed Call-ID")
        return value

    @typed("CSeq")
    def cseq(self) -> CSeq:
        """CSeq (RFC 3261 20.16)."""
        return parse_cseq(self.required("cseq", "CSeq"))

    @typed("Max-Forwards")
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255 (RFC 3261 20.22), or None."""
        values = self.fields.get("max-forwards")
        return None if values is None else whole_number(values[0], "Max-Forwards", 255)

    @typed("Content-Length")
    def content_length(self) -> int | None:
        """Content-Length (RFC 3261 20.14), or None."""
        value = self.first("content-length")
        return None if value is None else whole_number(value, "Content-Length", 2**32 - 1)

    @typed("Expires")
    def expires(self) -> int | None:
        """Expires in seconds, or None; a malformed one counts as 3600 (RFC 3261 20.19, 10.2.1.1)."""
        values = self.fields.get("expires")
        return None if values is None else delta_seconds(values[0])

    @typed("Min-Expires")
    def min_expires(self) -> int | None:
        """Min-Expires in seconds (RFC 3261 20.23), or None."""
        value = self.first("min-expires")
        return None if value is None else whole_number(value, "Min-Expires", 2**32 - 1)

    @property
    def contact_star(self) -> bool:
        """Whether a Contact value is ``*`` (RFC 3261 10.2.2); :attr:`contacts` leaves it out."""
        return "*" in self.fields.get("contact", ())

    @typed("Contact")
    def contacts(self) -> tuple[NameAddr, ...]:
        """All Contact values except ``*`` (RFC 3261 20.10)."""
        values = self.fields.get("contact")
        if values is None:
            return ()
        return parse_name_addrs([value for value in values if value != "*"])

    @typed("Route")
    def routes(self) -> tuple[NameAddr, ...]:
        """Route (RFC 3261 20.34)."""
        return parse_name_addrs(self.all("route"))

    @typed("Record-Route")
    def record_routes(self) -> tuple[NameAddr, ...]:
        """Record-Route (RFC 3261 20.30)."""
        return parse_name_addrs(self.all("record-route"))

    @typed("Path")
    def path(self) -> tuple[NameAddr, ...]:
        """Path (RFC 3327 4)."""
        return parse_name_addrs(self.all("path"))

    @typed("Require")
    def require(self) -> tuple[str, ...]:
        """The option tags of Require (RFC 3261 20.32)."""
        values = self.fields.get("require")
        return () if values is None else tokens(values)

    @typed("Proxy-Require")
    def proxy_require(self) -> tuple[str, ...]:
        """The option tags of Proxy-Require (RFC 3261 20.29)."""
        values = self.fields.get("proxy-require")
        return () if values is None else tokens(values)

    @typed("Supported")
    def supported(self) -> tuple[str, ...]:
        """The option tags of Supported (RFC 3261 20.37)."""
        values = self.fields.get("supported")
        return () if values is None else tokens(values)

    @typed("Unsupported")
    def unsupported(self) -> tuple[str, ...]:
        """The option tags of Unsupported (RFC 3261 20.40)."""
        values = self.fields.get("unsupported")
        return () if values is None else tokens(values)

    @typed("Allow")
    def allow(self) -> tuple[str, ...]:
        """The methods of Allow (RFC 3261 20.5)."""
        values = self.fields.get("allow")
        return () if values is None else tokens(values)

    @typed("Authorization")
    def credentials(self) -> tuple[Credentials, ...]:
        """Authorization, one for each time it stands (RFC 3261 20.7)."""
        return parse_credentials(self.all("authorization"))

    @typed("Proxy-Authorization")
    def proxy_credentials(self) -> tuple[Credentials, ...]:
        """Proxy-Authorization (RFC 3261 20.28)."""
        return parse_credentials(self.all("proxy-authorization"))

    @typed("WWW-Authenticate")
    def challenges(self) -> tuple[Credentials, ...]:
        """WWW-Authenticate (RFC 3261 20.44)."""
        return parse_credentials(self.all("www-authenticate"))

    @typed("Proxy-Authenticate")
    def proxy_challenges(self) -> tuple[Credentials, ...]:
        """Proxy-Authenticate (RFC 3261 20.27)."""
        return parse_credentials(self.all("proxy-authenticate"))

    @typed("Authentication-Info")
    def authentication_info(self) -> dict[str, str]:
        """The parameters of Authentication-Info (RFC 7616 3.5); empty when there is none."""
        value = self.first("authentication-info")
        return parse_auth_params(value) if value else {}

    @typed("Date")
    def date(self) -> datetime | None:
        """Date (RFC 3261 20.17), or None."""
        value = self.first("date")
        return None if value is None else parse_date(value)

    @typed("Retry-After")
    def retry_after(self) -> RetryAfter | None:
        """Retry-After (RFC 3261 20.33), or None."""
        value = self.first("retry-after")
        return None if value is None else parse_retry_after(value)

    @typed("Warning")
    def warnings(self) -> tuple[WarningValue, ...]:
        """Warning (RFC 3261 20.43)."""
        return parse_warnings(self.all("warning"))


class Request(Message):
    """RFC 3261 7.1."""

    def __init__(
        self, method: str, uri_text: str, version: str, lines: list[str], fields: dict[str, list[str]]
    ) -> None:
        self.method = method
        self.uri_text = uri_text
        self.version = version
        self.lines = lines
        self.fields = fields
        self.body = b""
        self.failures = None

    def read_usual(self) -> None:
        """Read in one pass what every request is asked for (RFC 3261 8.1.1), and what a REGISTER is.

        What cannot be read at once is left alone: whoever asks for it by name is told what is wrong.
        """
        fields = self.fields
        try:
            self.uri = parse_uri(self.uri_text)
            self.vias = parse_vias(fields["via"])
            [call_id], [from_], [to], [cseq] = fields["call-id"], fields["from"], fields["to"], fields["cseq"]
            if call_id.isprintable() and call_id.isascii() and " " not in call_id and call_id:
                self.call_id = call_id
            digits, _, method = cseq.partition(" ")
            if method == self.method and len(digits) < 10 and digits.isdigit() and digits.isascii():
                self.cseq = _new(CSeq, (int(digits), method))
            self.from_ = parse_name_addr(from_)
            self.to = parse_name_addr(to)
            hops = fields.get("max-forwards")
            if hops is None:
                self.max_forwards = None
            elif hops[0] in _USUAL_HOPS:
                self.max_forwards = _USUAL_HOPS[hops[0]]
            contact = fields.get("contact")
            if contact is None:
                self.contacts = ()
            elif "*" not in contact:
                self.contacts = parse_name_addrs(contact)
            expires = fields.get("expires")
            self.expires = None if expires is None else delta_seconds(expires[0])
        except (KeyError, ValueError):
            pass

    @property
    def start_line(self) -> str:
        """The Request-Line, without CRLF."""
        return f"{self.method} {self.uri_text} {self.version}"

    @typed("")
    def uri(self: Request) -> URI:
        """The Request-URI. Raises MessageError when it is malformed."""
        return parse_uri(self.uri_text)

    def as_to_server(self) -> Request:
        """The request as it would be if this were a server that is asked to authenticate its user: what stands in
        Proxy-Authorization stands in Authorization (RFC 3261 22.3)."""
        fields = {**self.fields, "authorization": self.fields.get("proxy-authorization", [])}
        shown = Request(self.method, self.uri_text, self.version, self.lines, fields)
        shown.body = self.body
        return shown

    @property
    def reply_via(self) -> Via:
        """The topmost Via as far as an answer needs it; a malformed one may do up to its parameters.

        Raises MessageError when there is nothing to go by.
        """
        try:
            return self.vias[0]
        except MessageError:
            values = self.fields.get("via")
            if not values:
                raise
        try:
            return parse_vias(values[:1])[0]
        except MessageError:
            return salvaged(values[0])

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri_text!r}>"


class Response(Message):
    """RFC 3261 7.2."""

    def __init__(
        self, status: int, reason: str, version: str, lines: list[str], fields: dict[str, list[str]]
    ) -> None:
        self.status = status
        self.reason = reason
        self.version = version
        self.lines = lines
        self.fields = fields
        self.body = b""
        self.failures = None

    @property
    def start_line(self) -> str:
        """The Status-Line, without CRLF."""
        return f"{self.version} {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason!r}>"
