"""How any request is read and answered: RFC 3261 7.3, 8.2, 9.2, 11.2, 17.2 and 18.2, RFC 3581."""

from __future__ import annotations

from sipframe.checking.check import Level, check
from sipframe.checking.draft import Draft
from sipframe.checking.user_agent import UserAgent
from sipframe.message import Response, equivalent


async def _proven_200(ua: UserAgent, draft: Draft) -> Response:
    response = await ua.proven(draft)
    ua.expect_status(response, 200)
    return response


@check("request.copied", "RFC 3261 8.2.6.2")
async def copied(ua: UserAgent) -> None:
    """From, Call-ID and CSeq of the answer are those of the request; so is the URI of To."""
    draft = await ua.draft()
    for response in (await ua.ask(draft), await ua.proven(ua.anew(draft))):
        for name in ("From", "Call-ID"):
            ua.expect(
                response.all(name.lower()) == [draft.first(name)], f"{name} is not what it was in the request"
            )
        ua.expect(response.cseq.method == "REGISTER", "CSeq is not what it was in the request")
        same = equivalent(response.to.uri, ua.aor)
        ua.expect(same, "the URI in To is not what it was in the request")


@check("request.to-tag", "RFC 3261 8.2.6.2")
async def to_tag(ua: UserAgent) -> None:
    """A tag is added to To in every final answer."""
    ua.expect((await ua.ask(await ua.draft())).to.tag, "To has no tag in the answer without credentials")
    ua.expect((await ua.fetch()).to.tag, "To has no tag in a 200")


@check("request.vias", "RFC 3261 8.2.6.2")
async def vias(ua: UserAgent) -> None:
    """All Via values come back, in their order."""
    below = [
        "SIP/2.0/UDP first.example.com;branch=z9hG4bKa",
        "SIP/2.0/TCP second.example.com:5070;branch=z9hG4bKb",
    ]
    draft = await ua.draft()
    for value in below:
        draft = draft.adding("Via", value)
    response = await ua.ask(draft)
    found = [via.host for via in response.vias[1:]]
    ua.expect(
        found == ["first.example.com", "second.example.com"], f"the Vias below the first one are {found}"
    )
    ua.expect(response.via.branch == draft.cookie, "the branch of the first Via is another one")


@check("request.received", "RFC 3261 18.2.1")
async def received(ua: UserAgent) -> None:
    """received is added when the sent-by host is not where the request came from."""
    draft = await ua.draft()
    via = (draft.first("Via") or "").replace(ua.host, "sent-by.invalid:5060")
    response = await ua.ask(draft.setting("Via", via))
    ua.expect(response.via.received, "the Via of the answer has no received")


@check("request.rport", "RFC 3581 4")
async def rport(ua: UserAgent) -> None:
    """rport is filled in, and received is added even where it says nothing new."""
    response = await ua.ask(await ua.draft())
    ua.expect(response.via.rport, "rport in the Via of the answer is empty")
    ua.expect(response.via.received, "the Via of the answer has no received")


@check("request.require", "RFC 3261 8.2.2.3")
async def require(ua: UserAgent) -> None:
    """An extension that is required and not known is 420, and Unsupported names it."""
    response = await ua.request((await ua.draft(ua.contact())).adding("Require", "unheard-of"))
    ua.expect_status(response, 420)
    ua.expect("unheard-of" in response.unsupported, "the 420 does not name it in Unsupported")


@check("request.unknown-method", "RFC 3261 8.2.1")
async def unknown_method(ua: UserAgent) -> None:
    """A method that is not known is 405 or 501; a 405 says in Allow what is."""
    response = await ua.request(await ua.draft(method="UNHEARDOF"))
    ua.expect_status(response, 405, 501, to="UNHEARDOF")
    ua.expect(response.status == 501 or response.all("allow"), "the 405 has no Allow")


@check("request.options", "RFC 3261 11.2")
async def options(ua: UserAgent) -> None:
    """OPTIONS to the server is answered 200."""
    ua.expect_status(await ua.request(await ua.draft(method="OPTIONS")), 200, to="OPTIONS")


@check("request.options-fields", "RFC 3261 11.2", Level.SHOULD)
async def options_fields(ua: UserAgent) -> None:
    """The 200 to OPTIONS has Accept, Accept-Encoding, Accept-Language and Supported."""
    response = await ua.request(await ua.draft(method="OPTIONS"))
    # Not Allow: the same paragraph has a proxy leave it out, and we cannot know what this one is.
    fields = ("Accept", "Accept-Encoding", "Accept-Language", "Supported")
    missing = [name for name in fields if name.lower() not in response.fields]
    ua.expect(not missing, f"the answer has no {', '.join(missing)}")


@check("request.no-max-forwards", "RFC 3261 16.3 step 3", Level.SHOULD)
async def no_max_forwards(ua: UserAgent) -> None:
    """A request without Max-Forwards, which RFC 2543 did not know, is served."""
    ua.expect_status(await ua.request((await ua.draft()).without("Max-Forwards")), 200)


@check("request.last-hop", "RFC 3261 16.3 step 3")
async def last_hop(ua: UserAgent) -> None:
    """Max-Forwards of 1 has reached its goal: it is served."""
    ua.expect_status(await ua.request((await ua.draft()).setting("Max-Forwards", "1")), 200)


_COMPACT = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m", "Content-Length": "l"}
_CRAMPED = {
    "Via": "VIA",
    "From": "FROM",
    "To": "tO",
    "Call-ID": "call-id",
    "CSeq": "cseq",
    "Contact": "CONTACT",
}


async def _served(ua: UserAgent, names: dict[str, str]) -> None:
    draft = (await ua.draft(ua.contact())).adding("Content-Length", "0")
    choice = await ua.challenge()
    if choice is not None:
        draft = ua.answer(draft, choice)
    response = await ua.ask(draft.named(names).to_bytes(), draft.cookie)
    ua.expect_status(response, 200)
    ua.expect(ua.names(response) == ["a"], "the contact is not bound")


@check("request.compact", "RFC 3261 7.3.3")
async def compact(ua: UserAgent) -> None:
    """The compact forms of field names are the long ones."""
    await _served(ua, _COMPACT)


@check("request.case", "RFC 3261 7.3.1")
async def case(ua: UserAgent) -> None:
    """Field names are compared without case."""
    await _served(ua, _CRAMPED)


@check("request.folded", "RFC 3261 7.3.1")
async def folded(ua: UserAgent) -> None:
    """A field may go on in the next line, when that begins with a blank."""
    draft = await ua.draft(ua.contact())
    for name in ("To", "Contact", "Max-Forwards"):
        value = draft.first(name) or ""
        draft = draft.setting(name, value.replace(" ", "\r\n\t ") if " " in value else f"\r\n  {value}")
    ua.expect(ua.names(await _proven_200(ua, draft)) == ["a"], "the contact is not bound")


@check("request.space-before-colon", "RFC 3261 25.1 (HCOLON)")
async def space_before_colon(ua: UserAgent) -> None:
    """Blanks between a field's name and its colon belong to neither."""
    draft = (await ua.draft(ua.contact())).named(
        {"To": "To \t", "Contact": "Contact ", "Call-ID": "Call-ID  "}
    )
    ua.expect(ua.names(await _proven_200(ua, draft)) == ["a"], "the contact is not bound")


@check("request.unknown-fields", "RFC 3261 8.2.2")
async def unknown_fields(ua: UserAgent) -> None:
    """Fields and parameters that are not known are ignored."""
    draft = (await ua.draft(ua.contact(field=";unheard-of=1"))).adding("X-Unheard-Of", "<%~>, \"'")
    response = await ua.request(draft.adding("Subject", ""))
    ua.expect_status(response, 200)
    ua.expect(ua.names(response) == ["a"], "the contact is not bound")


@check("request.unicode", "RFC 3261 7", Level.SHOULD)
async def unicode(ua: UserAgent) -> None:
    """Text may be UTF-8, in display names too."""
    draft = await ua.draft(ua.contact())
    response = await ua.request(draft.setting("From", f'"Zoë ☎" <{ua.aor}>;tag={ua.word(6)}'))
    ua.expect_status(response, 200)


@check("request.body", "RFC 3261 8.2.3", Level.SHOULD)
async def body(ua: UserAgent) -> None:
    """A REGISTER with a body that may be ignored is served, or refused by 415 with Accept."""
    draft = (await ua.draft(ua.contact())).carrying(b"any\r\n\r\nbody \0\n")
    draft = draft.adding("Content-Type", "application/unheard-of")
    draft = draft.adding("Content-Disposition", "session;handling=optional")
    response = await ua.request(draft)
    ua.expect_status(response, 200, 415)
    ua.expect(response.status == 200 or response.all("accept"), "the 415 has no Accept")


@check("request.retransmission", "RFC 3261 17.2.2", transports=frozenset({"UDP"}))
async def retransmission(ua: UserAgent) -> None:
    """The same request again gets the same answer again."""
    draft = await ua.draft(ua.contact())
    choice = await ua.challenge()
    if choice is not None:
        draft = ua.answer(draft, choice)
    first = await ua.ask(draft)
    ua.expect_status(first, 200)
    for _ in range(2):
        again = await ua.ask(draft)
        ua.expect(
            again.to_bytes() == first.to_bytes(),
            f"a retransmission is answered {again.start_line!a} otherwise",
        )


@check("request.ack", "RFC 3261 17")
async def ack(ua: UserAgent) -> None:
    """An ACK is never answered."""
    response = await ua.attempt(await ua.draft(method="ACK"))
    ua.expect(response is None, "an ACK that belongs to nothing is answered")


@check("request.stray-response", "RFC 3261 18.1.2")
async def stray_response(ua: UserAgent) -> None:
    """A response that belongs to nothing is dropped, and the server goes on."""
    draft = await ua.draft()
    octets = draft.to_bytes().replace(b"REGISTER " + draft.uri.encode() + b" SIP/2.0", b"SIP/2.0 200 OK", 1)
    ua.expect(await ua.attempt(octets, draft.cookie) is None, "a response is answered")
    await ua.fetch()


@check("request.cancel", "RFC 3261 9.2", Level.SHOULD)
async def cancel(ua: UserAgent) -> None:
    """A CANCEL that belongs to nothing is 481."""
    response = await ua.ask(await ua.draft(method="CANCEL"))
    ua.expect_status(response, 481, to="CANCEL")


@check("request.leading-crlf", "RFC 3261 7.5", Level.SHOULD)
async def leading_crlf(ua: UserAgent) -> None:
    """Empty lines before a request are ignored."""
    draft = await ua.draft()
    response = await ua.ask(b"\r\n\r\n" + draft.to_bytes(), draft.cookie)
    ua.expect_status(response, 200, 401)


@check("request.extra-octets", "RFC 3261 18.3", transports=frozenset({"UDP"}))
async def extra_octets(ua: UserAgent) -> None:
    """What follows the body in a datagram is discarded, even where it looks like another request."""
    draft, hidden = await ua.draft(), await ua.draft(call_id=ua.word())
    response = await ua.ask(draft.to_bytes() + hidden.to_bytes(), draft.cookie)
    ua.expect_status(response, 200, 401)
    await ua.wait(ua.timing.silence)
    ua.expect(not ua.strays, "the request behind the body is answered")
