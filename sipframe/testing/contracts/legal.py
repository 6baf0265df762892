"""Which verdicts are legal: what the server takes from an authenticator or a policy without calling it a bug.

Rules: each function returns what is wrong in a sentence, or an empty text. A refusal is legal when it can be sent: it
is written as the server writes it, and has to be read back as it was (RFC 3261 7.2, 21).
"""

from __future__ import annotations

from sipframe.message import MessageError, Request, Response, parse_credentials, parse_message, response_bytes
from sipframe.proxy.targets import routing_flaw
from sipframe.seams import field_lines, refusal_line
from sipframe.testing.contracts.canonical import is_canonical
from sipframe.verdicts import Abstained, Accepted, Admitted, Challenge, Identity, Rejected, Routing, Terms

__all__ = ["admission_flaw", "authentication_flaw", "registration_flaw", "route_flaw", "terms_flaw"]


def authentication_flaw(verdict: object, request: Request) -> str:
    """What is wrong with an answer of ``IAuthenticator.authenticate``."""
    if type(verdict) is Accepted:
        return _identity_flaw(verdict.identity) or _answer_flaw(request, 200, "OK", verdict.fields)
    if type(verdict) is Challenge:
        return _challenge_flaw(verdict, request)
    if type(verdict) is Rejected:
        return _refusal_flaw(verdict, request, 599)
    if type(verdict) is Abstained:
        return "" if _all(str, verdict.reason) else "the reason of an Abstained is text"
    return "authenticate() returns Accepted, Challenge, Rejected or Abstained"


def admission_flaw(verdict: object, request: Request) -> str:
    """What is wrong with an answer of ``IPolicy.admit``."""
    if type(verdict) is Admitted:
        return ""
    if type(verdict) is Rejected:
        return _refusal_flaw(verdict, request, 699)
    return "admit() returns Admitted or Rejected"


def registration_flaw(verdict: object, request: Request) -> str:
    """What is wrong with an answer of ``IPolicy.registration``."""
    if type(verdict) is Terms:
        return terms_flaw(verdict)
    if type(verdict) is Rejected:
        return _refusal_flaw(verdict, request, 599)
    return "registration() returns Terms or Rejected"


def route_flaw(verdict: object, request: Request) -> str:
    """What is wrong with an answer of ``IPolicy.route``."""
    if type(verdict) is Routing:
        return routing_flaw(verdict)
    if type(verdict) is Rejected:
        return _refusal_flaw(verdict, request, 699)
    return "route() returns Routing or Rejected"


def terms_flaw(terms: Terms) -> str:
    """What is wrong with terms (RFC 3261 10.3 step 7)."""
    least, default, most = terms.min_expires, terms.default_expires, terms.max_expires
    numbers = (least, default, most, terms.max_contacts, terms.other_scheme_expires, terms.max_contact_octets)
    if not _all(int, *numbers) or min(numbers) < 0:
        return "every number in Terms is an int, 0 or more"
    if not least <= default <= most:
        return f"min_expires <= default_expires <= max_expires, which {least}, {default}, {most} are not"
    if most > 2**32 - 1:
        return "max_expires is a number of seconds below 2**32 (RFC 3261 20.19)"
    if not _all(bool, terms.third_party, terms.drop_when_flow_lost):
        return "third_party and drop_when_flow_lost are True or False"
    return (
        "" if terms.when_full in ("refuse", "replace-oldest") else 'when_full is "refuse" or "replace-oldest"'
    )


def _identity_flaw(identity: object) -> str:
    if type(identity) is not Identity:
        return "Accepted holds an Identity"
    if not _all(str, identity.name, identity.realm):
        return "name and realm of an Identity are text"
    if not _all(frozenset, identity.aors):
        return "the AORs of an Identity are a frozenset"
    for aor in identity.aors:
        if not is_canonical(aor):
            return f"the AORs of an Identity are canonical, sip:user@host, which {aor!r} is not"
    return ""


def _challenge_flaw(challenge: Challenge, request: Request) -> str:
    if not _all(tuple, challenge.values) or not challenge.values:
        return "a Challenge has a tuple of one value or more (RFC 3261 20.44)"
    if not _all(str, challenge.reason) or not _all(bool, challenge.stale):
        return "a Challenge has a reason, which is text, and stale is True or False"
    fields = tuple(("WWW-Authenticate", value) for value in challenge.values)
    try:
        _ = parse_credentials(list(challenge.values))
    except (MessageError, AttributeError, TypeError) as error:
        return f"the values of a Challenge are a scheme and its parameters (RFC 3261 25.1): {error}"
    return _answer_flaw(request, 401, "Unauthorized", fields)


def _refusal_flaw(verdict: Rejected, request: Request, highest: int) -> str:
    try:
        status, reason = refusal_line(verdict, highest)
    except (TypeError, ValueError) as error:
        return f"a refusal can be sent: {error}"
    return _answer_flaw(request, status, reason, verdict.fields)


def _answer_flaw(request: Request, status: int, reason: str, fields: object) -> str:
    """What is wrong with an answer when it is written, and read again."""
    if type(fields) is not tuple or any(type(one) is not tuple or len(one) != 2 for one in fields):
        return "fields are a tuple of (name, value) pairs"
    if any(not isinstance(text, str) for one in fields for text in one):
        return "names and values of fields are text"
    try:
        octets = response_bytes(request, status, reason, "tag", field_lines(fields), ("192.0.2.7", 5062))
        answer = parse_message(octets)
    except (MessageError, TypeError, ValueError) as error:
        return f"an answer with these fields and this reason can be sent: {error}"
    if not isinstance(answer, Response) or (answer.status, answer.reason) != (status, reason):
        return f"status and reason arrive as they were sent, which {status} {reason!r} do not"
    for name, value in fields:
        if value.strip(" \t") not in answer.all(name.lower()):
            return f"a field arrives as it was sent, which {name}: {value!r} does not"
    return ""


def _all(kind: type, *values: object) -> bool:
    """Whether plug-ins, which need not have been type-checked, gave values of that kind."""
    return all(isinstance(value, kind) and (kind is not int or type(value) is int) for value in values)
