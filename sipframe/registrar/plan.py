"""The registrar's plan: RFC 3261 10.3 steps 6 to 8 as a pure function.

Rules: (what the REGISTER asks, the bindings as they are, the terms, now) -> an answer and the bindings as they shall
be. Everything is validated before anything changes; a plan is carried out whole or not at all (step 7). A binding is
known by its contact URI, or, when its ``reg_id`` is not None, by that and its instance alone (RFC 5626 6). Times are
wall-clock seconds; ``now`` is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from sipframe.instances import instance_of
from sipframe.message import MessageError, NameAddr, OtherURI, Request, SipURI, equivalent, parse_uri
from sipframe.registrar.outbound import Outbound, flow_of, outbound_of, supports
from sipframe.verdicts import Binding, Rejected, Terms

__all__ = ["Plan", "Refusal", "Registration", "contact_lines", "plan", "registration_of"]

_ONE_HOUR = 3600
_STEP_7 = "RFC 3261 10.3 step 7"
_OUTBOUND = "RFC 5626 6"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 3261 25.1: no quoted string has them as they are
_NOT_KEPT_AS_TEXT = frozenset(("expires", "q", "pub-gruu", "temp-gruu"))
"""The last two are ours to say: RFC 5627 5.1."""


_IGNORED = Outbound.IGNORED  # looking up a member takes a call
_new = tuple.__new__  # what a NamedTuple does, without the detour


class Registration(NamedTuple):
    """What one REGISTER asks for."""

    call_id: str
    cseq: int
    remove_all: bool
    """``Contact: *`` (RFC 3261 10.2.2)."""
    contacts: tuple[NameAddr, ...]
    expires: int | None
    path: tuple[str, ...]
    path_wanted: bool
    """Whether the answer repeats the path (RFC 3327 5.3)."""
    user_agent: str | None
    instances: bool
    """Whether a contact names its instance (``+sip.instance``)."""
    outbound: Outbound
    """What the reg-ids mean."""
    flow: str | None

    def came_by(self, flow: str) -> Registration:
        """The same, with the text of the flow that the REGISTER came by."""
        return _new(Registration, (*self[:-1], flow))


class Plan(NamedTuple):
    """The 200: ``bindings`` are all that the AOR has when it is sent; store them when ``changed``."""

    bindings: tuple[Binding, ...]
    changed: bool


class Refusal(NamedTuple):
    """No: ``verdict`` is the answer, ``rule`` the paragraph that says so, ``why`` the numbers, for a record."""

    verdict: Rejected
    rule: str
    why: str


def registration_of(
    request: Request, flow: str | None, most_asked: int = 100, *, outbound: bool = True
) -> Registration:
    """Read a REGISTER. Raises MessageError when it makes no sense, or has more than ``most_asked`` contacts (400).

    Without ``outbound``, reg-ids mean nothing.
    """
    star = request.contact_star
    contacts = request.contacts
    expires = request.expires
    if star and (contacts or len(request.all("contact")) > 1):
        raise MessageError("Contact: * must stand alone")  # RFC 3261 10.3 step 6
    if star and expires != 0:
        raise MessageError("Contact: * needs Expires: 0")  # RFC 3261 10.3 step 6
    if len(contacts) > most_asked:
        raise MessageError("Too many Contact values")
    instances = False
    for contact in contacts:
        _ = contact.uri  # it raises when it is malformed
        if contact.params:
            _ = contact.q  # so does this
            if contact.param("+sip.instance") is not None:
                instances = True
    path: tuple[str, ...] = ()
    path_wanted = False
    if "path" in request.fields:
        for hop in request.path:
            _ = hop.uri
        path = tuple([str(hop) for hop in request.path])
        if _CONTROL.search("".join(path)):
            raise MessageError("Control character in Path")
        path_wanted = supports(request, "path")
    agent = request.first("user-agent")
    number = request.cseq.number
    reg_ids = outbound_of(request) if instances and outbound else _IGNORED
    return _new(
        Registration,
        (
            request.call_id,
            number,
            star,
            contacts,
            expires,
            path,
            path_wanted,
            agent,
            instances,
            reg_ids,
            flow,
        ),
    )


def plan(asked: Registration, current: tuple[Binding, ...], terms: Terms, now: float) -> Plan | Refusal:
    """Decide what a REGISTER does. ``current`` may hold expired bindings: they count as gone."""
    live = [binding for binding in current if binding.expires_at > now]
    if asked.remove_all:
        for binding in live:
            if binding.call_id == asked.call_id and binding.cseq >= asked.cseq:
                return _out_of_order("RFC 3261 10.3 step 6", asked, binding)
        return Plan((), bool(live))
    if not asked.contacts:
        return Plan(tuple(live), False)  # a query: RFC 3261 10.2.3
    flows = asked.outbound is not _IGNORED
    if flows:
        refusal = _against_outbound(asked)
        if refusal is not None:
            return refusal
    updated = list(live)
    added = 0
    changed = False
    for contact in asked.contacts:
        uri = contact.uri
        interval = _interval(contact, uri, asked, terms)
        if isinstance(interval, Refusal):
            return interval
        flow = flow_of(contact) if flows else None
        same = _same(uri, contact.uri_text, live) if flow is None else _same_flow(flow, live)
        for binding in same:
            if binding.call_id == asked.call_id and binding.cseq >= asked.cseq:
                return _out_of_order(_STEP_7, asked, binding)
        if changed:
            same = _same(uri, contact.uri_text, updated) if flow is None else _same_flow(flow, updated)
        if interval == 0:
            for binding in same:
                updated.remove(binding)
                changed = True
            continue
        params, q = (_kept_params(contact), contact.param("q")) if contact.params else ("", None)
        if _length(contact.uri_text, params, asked) > terms.max_contact_octets:
            octets = _length(contact.uri_text, params, asked)
            why = f"{octets} octets of contact, max_contact_octets {terms.max_contact_octets}"
            return Refusal(Rejected(400, "Contact too long"), "max_contact_octets", why)
        if not params.isprintable() and _CONTROL.search(params):
            why = f"a control character among the parameters of {_named(uri)}"
            return Refusal(Rejected(400, "Control character in Contact"), "RFC 3261 25.1", why)
        fresh = _new(
            Binding,
            (
                contact.uri_text,
                now + interval,
                asked.call_id,
                asked.cseq,
                now,
                q,
                params,
                contact.param("+sip.instance") if params else None,
                None if flow is None else flow[1],
                asked.path,
                asked.user_agent,
                asked.flow,
            ),
        )
        changed = True
        if same:
            # URI equality is not transitive (19.1.4): one contact may equal several bindings, and replaces them all,
            # so that no two bindings ever equal each other.
            updated[updated.index(same[0])] = fresh
            for binding in same[1:]:
                updated.remove(binding)
        else:
            updated.append(fresh)
            added += 1
    if added and len(updated) > terms.max_contacts:
        if terms.when_full != "replace-oldest":
            return _too_many(updated, live, terms)
        gone = _oldest(updated, live, len(updated) - terms.max_contacts)
        if gone is None:
            return _too_many(updated, live, terms)
        updated = [binding for binding in updated if binding not in gone]
    return Plan(tuple(updated), changed)


def _out_of_order(rule: str, asked: Registration, binding: Binding) -> Refusal:
    why = f"CSeq {asked.cseq} is not higher than {binding.cseq}, the last one with this Call-ID"
    return Refusal(Rejected(400, "CSeq not higher than before"), rule, why)


def _too_many(updated: list[Binding], live: list[Binding], terms: Terms) -> Refusal:
    why = f"{len(updated)} contacts, {len(live)} of them there before; max_contacts {terms.max_contacts}"
    return Refusal(Rejected(403, "Too many contacts"), "max_contacts", why)


def _named(uri: SipURI | OtherURI) -> str:
    return "a contact" if isinstance(uri, OtherURI) else f"{uri.scheme}:{uri.user or ''}@{uri.host}"


def _interval(contact: NameAddr, uri: SipURI | OtherURI, asked: Registration, terms: Terms) -> int | Refusal:
    requested = contact.expires  # RFC 3261 10.3 step 7: the parameter, else the field, else our default
    if requested is None:
        requested = asked.expires
    if requested is None:
        if isinstance(uri, OtherURI):
            return terms.other_scheme_expires  # RFC 3665 2.2
        return min(terms.default_expires, terms.max_expires)
    if 0 < requested < terms.min_expires and requested < _ONE_HOUR:
        verdict = Rejected(423, "Interval Too Brief", (("Min-Expires", str(terms.min_expires)),))
        return Refusal(verdict, _STEP_7, f"{requested} s for {_named(uri)}, min_expires {terms.min_expires}")
    return min(requested, terms.max_expires)


def _oldest(updated: list[Binding], before: list[Binding], count: int) -> list[Binding] | None:
    """The ``count`` bindings registered longest ago of those that this REGISTER left as they were; None: too few."""
    untouched = [binding for binding in updated if binding in before]
    if len(untouched) < count:
        return None
    return sorted(untouched, key=lambda binding: binding.registered_at)[:count]


def _same(uri: SipURI | OtherURI, text: str, bindings: list[Binding]) -> list[Binding]:
    """The bindings known by their contact that equals ``uri`` (RFC 3261 10.2.4, 19.1.4)."""
    found: list[Binding] = []
    for binding in bindings:
        if binding.reg_id is not None:
            continue  # RFC 5626 6: its contact is not used for comparisons
        if binding.contact == text:
            return [binding]  # no two bindings equal each other
        try:
            if equivalent(parse_uri(binding.contact), uri):
                found.append(binding)
        except MessageError:
            pass  # what a store holds and nobody can read equals nothing but itself
    return found


def _same_flow(flow: tuple[str, int], bindings: list[Binding]) -> list[Binding]:
    """The bindings of an instance and a reg-id (RFC 5626 6)."""
    instance, reg_id = flow
    return [
        binding
        for binding in bindings
        if binding.reg_id == reg_id and instance_of(binding.instance_id) == instance
    ]


def _against_outbound(asked: Registration) -> Refusal | None:
    if asked.outbound is Outbound.LACKING:
        why = "a reg-id, and the first hop has put no URI with ob into Path"
        return Refusal(Rejected(439, "First Hop Lacks Outbound Support"), _OUTBOUND, why)
    there_to_stay = 0
    flows = 0
    for contact in asked.contacts:
        expires = asked.expires if contact.expires is None else contact.expires
        if expires != 0:
            there_to_stay += 1
            flows += flow_of(contact) is not None
    if flows and there_to_stay > 1:
        why = f"{there_to_stay} contacts that are not removed, and a reg-id"
        return Refusal(Rejected(400, "One contact at a time with reg-id"), _OUTBOUND, why)
    return None


def _kept_params(contact: NameAddr) -> str:
    return "".join(
        [
            f";{name}" if value is None else f";{name}={value}"
            for name, value in contact.params
            if name not in _NOT_KEPT_AS_TEXT
        ]
    )


def _length(contact: str, params: str, asked: Registration) -> int:
    length = len(contact) + len(params) + len(asked.call_id) + len(asked.user_agent or "")
    for hop in asked.path:
        length += len(hop)
    return length


def contact_lines(
    bindings: tuple[Binding, ...], now: float, more: Callable[[Binding], str] | None = None
) -> str:
    """The Contact fields of a 200: every binding with the seconds it has left (RFC 3261 10.3 step 8).

    ``more`` gives the parameters that a contact has besides those it was registered with.
    """
    lines: list[str] = []
    for binding in bindings:
        # A binding that is listed is not gone yet, so it never says 0.
        left = max(1, round(binding.expires_at - now))
        q = "" if binding.q is None else f";q={binding.q}"
        params = binding.params if more is None else binding.params + more(binding)
        lines.append(f"Contact: <{binding.contact}>;expires={left}{q}{params}\r\n")
    return "".join(lines)
