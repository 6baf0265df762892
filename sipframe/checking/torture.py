"""Messages that are hard to read, after RFC 4475: valid ones have to be served, invalid ones refused or dropped.

Rules: each is a REGISTER of ours that has been bent as the RFC's message is, so that its answer finds us and its
binding can be removed. One table holds them; a row is what is done to a request, and what may come of it. Whatever
comes, the server has to live on. Invalid requests carry credentials, so that it is not their lack that is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from sipframe.checking.check import EVERY_TRANSPORT, Check, Level
from sipframe.checking.draft import Draft
from sipframe.checking.user_agent import UserAgent

__all__ = ["TORTURE"]

_UDP: Final = frozenset({"UDP"})
_INVALID: Final = (400,)


@attrs.frozen
class _Message:
    """A row. ``statuses`` are what may be answered; none at all unless ``dropped``."""

    name: str
    section: str
    summary: str
    bend: Callable[[UserAgent, Draft], Draft | bytes]
    statuses: tuple[int, ...] = _INVALID
    level: Level = Level.SHOULD
    bindings: tuple[str, ...] = ()
    """The names of the contacts that a 200 lists."""
    transports: frozenset[str] = EVERY_TRANSPORT

    @property
    def invalid(self) -> bool:
        return not any(status < 300 for status in self.statuses)

    async def run(self, ua: UserAgent) -> None:
        """Send it, judge the answer, and see that the server lives."""
        choice = await ua.challenge()
        draft = await ua.draft(ua.contact())
        bent = self.bend(ua, draft)
        if isinstance(bent, Draft) and choice is not None and not bent.first("Authorization"):
            bent = ua.answer(bent, choice)
        elif isinstance(bent, bytes) and choice is not None:
            credentials = ua.answer(draft, choice).first("Authorization") or ""
            bent = bent.replace(b"@AUTHORIZATION@", credentials.encode("utf-8", "surrogateescape"))
        known_by = bent.cookie if isinstance(bent, Draft) and bent.cookie else draft.cookie
        octets = bent.to_bytes() if isinstance(bent, Draft) else bent
        response = await ua.attempt(octets, known_by, ua.timing.silence if self.invalid else ua.timing.answer)
        if response is None:
            ua.expect(self.invalid, "it is not answered")
        else:
            ua.expect_status(response, *self.statuses)
            if response.status == 200 and self.bindings:
                found = ua.names(response)
                ua.expect(found == list(self.bindings), f"the 200 lists {found}, not {list(self.bindings)}")
        ua.disconnect()  # what cannot be read may cost the connection, but no other one
        alive = ua.names(await ua.fetch())
        ua.expect(not self.invalid or not alive, "it was refused, and has bound a contact all the same")


def _set(name: str, value: str) -> Callable[[UserAgent, Draft], Draft]:
    return lambda ua, draft: draft.setting(name, value)


def _add(name: str, value: str) -> Callable[[UserAgent, Draft], Draft]:
    return lambda ua, draft: draft.adding(name, value)


def _replace(name: str, old: str, new: str) -> Callable[[UserAgent, Draft], Draft]:
    return lambda ua, draft: draft.setting(name, (draft.first(name) or "").replace(old, new, 1))


def _line(old: str, new: str) -> Callable[[UserAgent, Draft], bytes]:
    """Bend the Request-Line, where ``URI`` is the Request-URI."""

    def bend(ua: UserAgent, draft: Draft) -> bytes:
        octets = draft.adding("Authorization", "@AUTHORIZATION@").to_bytes()
        first, end, rest = octets.partition(b"\r\n")
        uri = draft.uri
        return (
            first.replace(old.replace("URI", uri).encode(), new.replace("URI", uri).encode(), 1) + end + rest
        )

    return bend


def _tortuous(ua: UserAgent, draft: Draft) -> Draft:
    uri = ua.aor
    draft = draft.setting("To", f'\r\n "J \\\\\\"R"      <{uri}>    ;  unheard-of = 1')
    draft = draft.setting("CSeq", (draft.first("CSeq") or "").replace(" ", "\r\n   "))
    draft = draft.setting("Max-Forwards", "0068").named(
        {"Via": "v  ", "Contact": "M", "To": "TO", "From": "f"}
    )
    return draft.adding("NewFangled", 'newfangled value\r\n continued ; ,, x "" <').adding("s", "")


def _two_nulls(ua: UserAgent, draft: Draft) -> Draft:
    contact = f"<sip:{ua.token}-%00@example.com>, <sip:{ua.token}-%00%00@example.com>"
    return draft.setting("Contact", contact)


def _long(ua: UserAgent, draft: Draft) -> Draft:
    draft = draft.setting("From", f'"{"long " * 40}" <{ua.aor}>;tag=1{"a" * 120}')
    draft = draft.adding("Unheard-Of-" + "long" * 20, "value" * 20)
    return draft.adding("Via", f"SIP/2.0/UDP {'sub.' * 30}example.com;branch=z9hG4bK{'b' * 60}")


def _old_branch(ua: UserAgent, draft: Draft) -> Draft:
    return draft.setting("Via", f"SIP/2.0/{ua.target.transport} {ua.host};rport")


_MESSAGES: Final = (
    # Valid: 3.1.1, 3.3, 3.4.
    _Message("wsinv", "3.1.1.1", "Blanks, folding, escapes and compact forms all over", _tortuous, (200,),
             Level.MUST, ("a",)),
    _Message("intmeth", "3.1.1.2", "A method with every character that a token may have",
             lambda ua, draft: attrs.evolve(
                 draft.setting("CSeq", (draft.first("CSeq") or "").replace("REGISTER", "!i-M0_*+`.%d'~")),
                 method="!i-M0_*+`.%d'~"),
             (405, 501, 403), Level.MUST),
    _Message("odd-field", "3.1.1.2", "A field whose name has every character that a token may have",
             _add("unheard-of!.%*+_`'~-", "value"), (200,), Level.SHOULD, ("a",)),
    _Message("escnull", "3.1.1.4", "Contacts with escaped zero octets: two bindings", _two_nulls, (200,),
             Level.SHOULD, ("%00", "%00%00")),
    _Message("lwsdisp", "3.1.1.6", "No blank between the display name and <",
             lambda ua, draft: draft.setting("From", f"caller<{ua.aor}>;tag={ua.word(4)}"), (200,), Level.SHOULD,
             ("a",)),
    _Message("longreq", "3.1.1.7", "Long values", _long, (200,), Level.MUST, ("a",)),
    _Message("semiuri", "3.1.1.9", "Semicolons, escapes and a comma in the user part of a contact",
             lambda ua, draft: draft.setting("Contact", f"<sip:{ua.token}-x;par=u%40e,v@example.com>"), (200,),
             Level.MUST, ("x;par=u%40e,v",)),
    _Message("transports", "3.1.1.10", "Vias of transports that nobody knows, below the first",
             _add("Via", "SIP/2.0/UNHEARDOF t5.example.com;branch=z9hG4bKkdjuw"), (200,), Level.MUST, ("a",)),
    _Message("regescrt", "3.3.13", "A contact with a header in its URI",
             lambda ua, draft: draft.setting(
                 "Contact", f"<sip:{ua.token}-a@example.com?Route=%3Csip:sip.example.com%3E>"),
             (200, 400), Level.SHOULD, ("a",)),
    _Message("inv2543", "3.4.1", "No branch in Via, as RFC 2543 had it", _old_branch, (200,), Level.SHOULD, ("a",)),
    _Message("regaut01", "3.3.7", "An Authorization of a scheme that nobody knows: as if there were none",
             _set("Authorization", "NoOneKnowsThisScheme opaque-data=here"), (401,), Level.MUST),
    _Message("bext01", "3.3.5", "Extensions that nobody knows, in Require",
             _set("Require", "nothingSupportsThis, nothingSupportsThisEither"), (420,), Level.MUST),
    _Message("unkscm", "3.3.2", "A Request-URI of a scheme that nobody knows",
             lambda ua, draft: draft.addressed("nobodyKnowsThisScheme:totallyopaquecontent"), (416, 400, 404)),
    _Message("unksm2", "3.3.4", "A To of a scheme that nobody knows",
             _set("To", "isbn:2983792873"), (400, 403, 404)),
    # Invalid: 3.1.2, 3.3.
    _Message("badinv01", "3.1.2.1", "Separators where nothing is separated",
             _replace("Contact", "<", ";;,;,, <"), _INVALID),
    _Message("clerr", "3.1.2.2", "A Content-Length beyond the datagram's end", _set("Content-Length", "9999"),
             _INVALID, Level.MUST, transports=_UDP),
    _Message("ncl", "3.1.2.3", "A negative Content-Length", _set("Content-Length", "-999"), _INVALID, Level.MUST),
    _Message("scalar02", "3.1.2.4", "A CSeq beyond 2**31", _set("CSeq", "36893488147419103232 REGISTER")),
    _Message("quotbal", "3.1.2.6", "A quotation mark in To that is never closed",
             lambda ua, draft: draft.setting("To", f'"Mr. J. User <{ua.aor}>'), _INVALID, Level.MUST),
    _Message("ltgtruri", "3.1.2.7", "A Request-URI in angle brackets", _line("URI", "<URI>"), (400, 403, 404, 416)),
    _Message("lwsruri", "3.1.2.8", "A blank inside the Request-URI", _line("URI", "URI; lr"), (400, 403, 404, 505)),
    _Message("lwsstart", "3.1.2.9", "Two blanks in the Request-Line", _line(" URI", "  URI"), (400, 505)),
    _Message("baddn", "3.1.2.15", "A display name that would have to be quoted",
             lambda ua, draft: draft.setting("From", f"Bell, Alexander <{ua.aor}>;tag={ua.word(4)}")),
    _Message("badvers", "3.1.2.16", "A version that is not 2.0", _line("SIP/2.0", "SIP/7.0"), (505, 400),
             Level.MUST),
    _Message("mismatch01", "3.1.2.17", "A CSeq whose method is another one", _replace("CSeq", "REGISTER", "OPTIONS"),
             _INVALID, Level.MUST),
    _Message("no-to", "3.3.1", "No To", lambda ua, draft: draft.without("To"), _INVALID, Level.MUST),
    _Message("no-from", "3.3.1", "No From", lambda ua, draft: draft.without("From"), _INVALID, Level.MUST),
    _Message("no-call-id", "3.3.1", "No Call-ID", lambda ua, draft: draft.without("Call-ID"), _INVALID, Level.MUST),
    _Message("no-cseq", "3.3.1", "No CSeq", lambda ua, draft: draft.without("CSeq"), _INVALID, Level.MUST),
    _Message("regbadct", "3.1.2.13", "A contact with ? outside of angle brackets",
             lambda ua, draft: draft.setting("Contact", f"sip:{ua.token}-a@example.com?Route=%3Csip:x%3E")),
    _Message("two-call-ids", "3.3.8", "Two Call-IDs", lambda ua, draft: draft.adding("Call-ID", ua.word())),
    _Message("two-cseqs", "3.3.8", "Two CSeqs", _add("CSeq", "59 REGISTER")),
    _Message("two-tos", "3.3.8", "Two Tos",
             lambda ua, draft: draft.adding("To", f"<sip:someone@{ua.aor.host}>"), _INVALID, Level.MUST),
    _Message("two-froms", "3.3.8", "Two Froms",
             lambda ua, draft: draft.adding("From", f"<sip:someone@{ua.aor.host}>;tag=1")),
    _Message("two-lengths", "3.3.9", "Two Content-Lengths that differ",
             lambda ua, draft: draft.adding("Content-Length", "0").adding("Content-Length", "5").carrying(b"12345"),
             _INVALID, Level.MUST),
)  # fmt: skip

TORTURE: Final = tuple(
    [
        Check(
            f"torture.{one.name}",
            f"RFC 4475 {one.section}",
            one.level,
            f"{one.summary}: {' or '.join(map(str, one.statuses))}{', or dropped' * one.invalid}.",
            one.run,
            one.transports,
        )
        for one in _MESSAGES
    ]
)
