"""The registrar's plan: RFC 3261 10.3 steps 6 to 8 as a pure function.

Rules: (what the REGISTER asks, the bindings as they are, the terms, now) -> an answer and the bindings as they shall
be. Everything is validated before anything changes; a plan is carried out whole or not at all (step 7). Times are
wall-clock seconds; ``now`` is an argument.
"""

from __future__ import annotations

from typing import NamedTuple

from sipframe.message import MessageError, NameAddr, OtherURI, Request, SipURI, equivalent, parse_uri
from sipframe.verdicts import Binding, Rejected, Terms

__all__ = ["Plan", "Registration", "contact_lines", "plan", "registration_of"]

_ONE_HOUR = 3600
_NOT_KEPT_AS_TEXT = frozenset(("expires", "q"))


class Registration(NamedTuple):
    """What one REGISTER asks for."""

    call_id: str
    cseq: int
    remove_all: bool
    """``Contact: *`` (RFC 3261 10.2.2)."""
    contacts: tuple[NameAddr, ...]
    expires: int | None
    path: tuple[str, ...]
    user_agent: str | None
    flow: str | None


class Plan(NamedTuple):
    """The 200: ``bindings`` are all that the AOR has when it is sent; store them when ``changed``."""

    bindings: tuple[Binding, ...]
    changed: bool


def registration_of(request: Request, flow: str | None) -> Registration:
    """Read a REGISTER. Raises MessageError when it makes no sense (400)."""
    star = request.contact_star
    contacts = request.contacts
    expires = request.expires
    if star and (contacts or len(request.all("contact")) > 1):
        raise MessageError("Contact: * must stand alone")  # RFC 3261 10.3 step 6
    if star and expires != 0:
        raise MessageError("Contact: * needs Expires: 0")  # RFC 3261 10.3 step 6
    for contact in contacts:
        _ = contact.uri, contact.q  # they raise when they are malformed
    return Registration(
        request.call_id,
        request.cseq.number,
        star,
        contacts,
        expires,
        tuple(str(value) for value in request.path) if "path" in request.fields else (),
        request.first("user-agent"),
        flow,
    )


def plan(asked: Registration, current: tuple[Binding, ...], terms: Terms, now: float) -> Plan | Rejected:
    """Decide what a REGISTER does. ``current`` may hold expired bindings: they count as gone."""
    live = [binding for binding in current if binding.expires_at > now]
    if asked.remove_all:
        for binding in live:
            if binding.call_id == asked.call_id and binding.cseq >= asked.cseq:
                return _OUT_OF_ORDER  # RFC 3261 10.3 step 6
        return Plan((), bool(live))
    if not asked.contacts:
        return Plan(tuple(live), False)  # a query: RFC 3261 10.2.3
    updated = list(live)
    added = 0
    for contact in asked.contacts:
        uri = contact.uri
        interval = _interval(contact, uri, asked, terms)
        if isinstance(interval, Rejected):
            return interval
        if _octets(contact, asked) > terms.max_contact_octets:
            return Rejected(400, "Contact too long")
        place = _find(uri, contact.uri_text, live)
        if place is not None:
            old = live[place]
            if old.call_id == asked.call_id and old.cseq >= asked.cseq:
                return _OUT_OF_ORDER  # RFC 3261 10.3 step 7
        position = _find(uri, contact.uri_text, updated)
        if interval == 0:
            if position is not None:
                del updated[position]
            continue
        binding = Binding(
            contact.uri_text,
            now + interval,
            asked.call_id,
            asked.cseq,
            now,
            contact.param("q"),
            "".join(
                f";{name}" if value is None else f";{name}={value}"
                for name, value in contact.params
                if name not in _NOT_KEPT_AS_TEXT
            )
            if contact.params
            else "",
            contact.param("+sip.instance"),
            _reg_id(contact),
            asked.path,
            asked.user_agent,
            asked.flow,
        )
        if position is None:
            updated.append(binding)
            added += 1
        else:
            updated[position] = binding
    if added and len(updated) > terms.max_contacts:
        return Rejected(403, "Too many contacts")
    return Plan(tuple(updated), True)


_OUT_OF_ORDER = Rejected(400, "CSeq not higher than before")


def _interval(contact: NameAddr, uri: SipURI | OtherURI, asked: Registration, terms: Terms) -> int | Rejected:
    requested = contact.expires  # RFC 3261 10.3 step 7: the parameter, else the field, else our default
    if requested is None:
        requested = asked.expires
    if requested is None:
        if isinstance(uri, OtherURI):
            return terms.other_scheme_expires  # RFC 3665 2.2
        return min(terms.default_expires, terms.max_expires)
    if 0 < requested < terms.min_expires and requested < _ONE_HOUR:
        return Rejected(423, "Interval Too Brief", (("Min-Expires", str(terms.min_expires)),))
    return min(requested, terms.max_expires)


def _find(uri: SipURI | OtherURI, text: str, bindings: list[Binding]) -> int | None:
    for position, binding in enumerate(bindings):
        if binding.contact == text or equivalent(parse_uri(binding.contact), uri):  # RFC 3261 10.2.4, 19.1.4
            return position
    return None


def _octets(contact: NameAddr, asked: Registration) -> int:
    length = len(contact.uri_text)
    for name, value in contact.params:
        length += len(name) + len(value or "") + 2
    for path in asked.path:
        length += len(path)
    return length


def _reg_id(contact: NameAddr) -> int | None:
    value = contact.param("reg-id")
    if value is None or not (value.isascii() and value.isdigit() and len(value) <= 10):
        return None
    return int(value)


def contact_lines(bindings: tuple[Binding, ...], now: float) -> str:
    """The Contact fields of a 200: every binding with the seconds it has left (RFC 3261 10.3 step 8)."""
    lines: list[str] = []
    for binding in bindings:
        # A binding that is listed is not gone yet, so it never says 0.
        left = max(1, round(binding.expires_at - now))
        q = "" if binding.q is None else f";q={binding.q}"
        lines.append(f"Contact: <{binding.contact}>;expires={left}{q}{binding.params}\r\n")
    return "".join(lines)
