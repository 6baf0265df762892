"""How a registrar keeps its bindings: RFC 3261 10.2 and 10.3, comparison of URIs (19.1.4) included."""

from __future__ import annotations

from sipframe.checking.check import Level, check
from sipframe.checking.user_agent import HOUR, UserAgent
from sipframe.message import NameAddr


def _lasts(bindings: dict[str, NameAddr]) -> int:
    """How long the one binding lasts."""
    lasts = [binding.expires for binding in bindings.values()]
    return lasts[0] if len(lasts) == 1 and lasts[0] is not None else -1


@check("register.expires-parameter", "RFC 3261 10.3 step 7")
async def expires_parameter(ua: UserAgent) -> None:
    """The expires parameter of a contact counts, not the Expires field."""
    bound = ua.mine(await ua.register(ua.contact(field=f";expires={HOUR}"), expires=2 * HOUR))
    ua.expect(
        0 < _lasts(bound) <= HOUR, f"{HOUR} in the parameter and {2 * HOUR} in the field last {_lasts(bound)}"
    )


@check("register.expires-field", "RFC 3261 10.3 step 7")
async def expires_field(ua: UserAgent) -> None:
    """The Expires field counts for a contact without the parameter, and nothing lasts longer than was asked."""
    bound = ua.mine(await ua.register(ua.contact(), expires=HOUR))
    ua.expect(0 < _lasts(bound) <= HOUR, f"what was asked for {HOUR} s lasts {_lasts(bound)} s")


@check("register.expires-default", "RFC 3261 10.3 step 7")
async def expires_default(ua: UserAgent) -> None:
    """Without any expiry the registrar's own default is taken."""
    bound = ua.mine(await ua.register(ua.contact(), expires=None))
    ua.expect(_lasts(bound) > 0, "a contact without any expiry is not bound")


@check("register.remove-one", "RFC 3261 10.2.2")
async def remove_one(ua: UserAgent) -> None:
    """A contact with expires=0 is removed, and no other one."""
    await ua.register(ua.contact("a"), ua.contact("b"))
    response = await ua.register(ua.contact("a", field=";expires=0"))
    ua.expect(ua.names(response) == ["b"], f"then the 200 lists {ua.names(response)}, not b alone")


@check("register.remove-by-field", "RFC 3261 10.2.2")
async def remove_by_field(ua: UserAgent) -> None:
    """Expires: 0 removes the contacts that the request names, and no other one."""
    await ua.register(ua.contact("a"), ua.contact("b"))
    response = await ua.register(ua.contact("b"), expires=0)
    ua.expect(ua.names(response) == ["a"], f"then the 200 lists {ua.names(response)}, not a alone")


@check("register.refresh", "RFC 3261 10.2.4")
async def refresh(ua: UserAgent) -> None:
    """A contact that is registered again stays one binding."""
    await ua.register(ua.contact())
    response = await ua.register(ua.contact())
    ua.expect(ua.names(response) == ["a"], f"then the 200 lists {len(ua.names(response))} bindings")


@check("register.star-with-others", "RFC 3261 10.3 step 6")
async def star_with_others(ua: UserAgent) -> None:
    """Contact: * beside another contact is 400 and changes nothing."""
    ua.needs_vacancy()
    await ua.register(ua.contact("a"))
    response = await ua.request(await ua.draft("*", ua.contact("b"), expires=0))
    ua.expect_status(response, 400)
    ua.expect(ua.names(await ua.fetch()) == ["a"], "the bindings have changed")


@check("register.star-not-zero", "RFC 3261 10.3 step 6")
async def star_not_zero(ua: UserAgent) -> None:
    """Contact: * with an expiry other than 0 is 400 and changes nothing."""
    ua.needs_vacancy()
    await ua.register(ua.contact("a"))
    response = await ua.request(await ua.draft("*", expires=HOUR))
    ua.expect_status(response, 400)
    ua.expect(ua.names(await ua.fetch()) == ["a"], "the bindings have changed")


@check("register.star-no-expires", "RFC 3261 10.2.2")
async def star_no_expires(ua: UserAgent) -> None:
    """Contact: * without Expires is 400 and changes nothing."""
    ua.needs_vacancy()
    await ua.register(ua.contact("a"))
    response = await ua.request(await ua.draft("*"))
    ua.expect_status(response, 400)
    ua.expect(ua.names(await ua.fetch()) == ["a"], "the bindings have changed")


@check("register.all-listed", "RFC 3261 10.3 step 8")
async def all_listed(ua: UserAgent) -> None:
    """Every 200 lists all bindings, each with an expires parameter."""
    await ua.register(ua.contact("a"), ua.contact("b"))
    for response in (await ua.register(ua.contact("c")), await ua.fetch()):
        ua.expect(ua.names(response) == ["a", "b", "c"], f"a 200 lists {ua.names(response)}, not all three")
        bare = [uri for uri, one in ua.mine(response).items() if one.expires is None]
        ua.expect(not bare, "a 200 lists a contact without expires")


@check("register.date", "RFC 3261 10.3 step 8", Level.SHOULD)
async def date(ua: UserAgent) -> None:
    """The 200 has a Date."""
    response = await ua.register(ua.contact())
    ua.expect(response.all("date"), "the 200 has no Date")


@check("register.no-record-route", "RFC 3261 10.3")
async def no_record_route(ua: UserAgent) -> None:
    """Record-Route in a REGISTER is ignored, and is in no answer."""
    draft = (await ua.draft(ua.contact())).adding("Record-Route", "<sip:192.0.2.1;lr>")
    response = await ua.request(draft)
    ua.expect_status(response, 200)
    ua.expect(not response.all("record-route"), "the 200 has a Record-Route")


@check("register.too-brief", "RFC 3261 10.3 step 7")
async def too_brief(ua: UserAgent) -> None:
    """Who refuses a short interval does so by 423 with Min-Expires, and takes what that says."""
    response = await ua.request(await ua.draft(ua.contact(), expires=1))
    if response.status == 200:
        ua.skip("it takes an interval of 1 s")
    ua.expect_status(response, 423, to="Expires: 1")
    least = response.min_expires
    ua.expect(least is not None and 1 < least <= HOUR, f"the 423's Min-Expires is {least}")
    response = await ua.request(await ua.draft(ua.contact(), expires=least))
    ua.expect_status(response, 200, to="what Min-Expires asks for")


@check("register.not-lengthened", "RFC 3261 10.3 step 7")
async def not_lengthened(ua: UserAgent) -> None:
    """An interval may be shortened or refused, but not be lengthened."""
    response = await ua.request(await ua.draft(ua.contact(), expires=7))
    if response.status != 423:
        ua.expect_status(response, 200, 423, to="Expires: 7")
        lasts = _lasts(ua.mine(response))
        ua.expect(0 < lasts <= 7, f"what was asked for 7 s lasts {lasts} s")


@check("register.cseq-order", "RFC 3261 10.3 step 7")
async def cseq_order(ua: UserAgent) -> None:
    """Within a Call-ID a request with a lower CSeq fails and changes nothing."""
    first = await ua.draft(ua.contact(), expires=HOUR, cseq=100)
    ua.expect_status(await ua.proven(first), 200, to="CSeq 100")
    late = await ua.draft(ua.contact(), expires=0, cseq=50)
    ua.expect_refused(await ua.proven(late), "CSeq 50 after CSeq 100")
    ua.expect(ua.names(await ua.fetch()) == ["a"], "the late request has removed the binding")


@check("register.cseq-next", "RFC 3261 10.3 step 7")
async def cseq_next(ua: UserAgent) -> None:
    """Within a Call-ID a request with a higher CSeq updates the binding."""
    ua.expect_status(await ua.proven(await ua.draft(ua.contact(), cseq=100)), 200, to="CSeq 100")
    response = await ua.proven(await ua.draft(ua.contact(), expires=0, cseq=101))
    ua.expect_status(response, 200, to="CSeq 101 after CSeq 100")
    ua.expect(ua.names(response) == [], "the binding is still there")


@check("register.other-call-id", "RFC 3261 10.3 step 7")
async def other_call_id(ua: UserAgent) -> None:
    """A request with another Call-ID updates the binding, whatever its CSeq."""
    ua.expect_status(await ua.proven(await ua.draft(ua.contact(), cseq=100)), 200, to="CSeq 100")
    restarted = await ua.draft(ua.contact(), expires=0, cseq=1, call_id=ua.word())
    response = await ua.proven(restarted)
    ua.expect_status(response, 200, to="another Call-ID with CSeq 1")
    ua.expect(ua.names(response) == [], "the binding is still there")


@check("register.atomic", "RFC 3261 10.3 step 7")
async def atomic(ua: UserAgent) -> None:
    """When one contact of a request fails, none of its changes is made."""
    ua.expect_status(await ua.proven(await ua.draft(ua.contact("a"), cseq=100)), 200, to="CSeq 100")
    mixed = await ua.draft(ua.contact("b"), ua.contact("a"), expires=HOUR, cseq=50)
    ua.expect_refused(await ua.proven(mixed), "a new contact beside one whose CSeq is too low")
    ua.expect(ua.names(await ua.fetch()) == ["a"], "the new contact is bound, though the request has failed")


@check("register.malformed-contact", "RFC 3261 21.4.1", Level.SHOULD)
async def malformed_contact(ua: UserAgent) -> None:
    """A contact that cannot be read beside a good one: 400, and neither is bound."""
    response = await ua.request(await ua.draft(ua.contact("a"), f"<sip:{ua.token}-b@[::1:bad>"))
    ua.expect_status(response, 400)
    ua.expect(ua.names(await ua.fetch()) == [], "one of them is bound")


@check("register.several", "RFC 3261 7.3.1")
async def several(ua: UserAgent) -> None:
    """Contacts in one field, cut by commas, and in several fields are the same."""
    response = await ua.register(f"{ua.contact('a')}, {ua.contact('b')}", ua.contact("c"))
    ua.expect(ua.names(response) == ["a", "b", "c"], f"the 200 lists {ua.names(response)}, not all three")


_SAME = (
    ("the order of parameters", ";x=1;y=2", ";y=2;x=1"),
    ("upper and lower case in parameters", ";X=Abc", ";x=aBC"),
    ("a parameter that only one of them has", "", ";x=1"),
)
_DIFFERENT = (
    ("the value of a parameter that both have", ";x=1", ";x=2"),
    ("a user parameter that only one of them has", "", ";user=phone"),
)


@check("register.uri-same", "RFC 3261 19.1.4")
async def uri_same(ua: UserAgent) -> None:
    """Contacts that differ by the order of parameters, by escapes or by the host's case are one binding."""
    for what, first, second in _SAME:
        await ua.register(ua.contact(uri=first))
        found = ua.names(await ua.register(ua.contact(uri=second)))
        ua.expect(len(found) == 1, f"contacts that differ in {what} are {len(found)} bindings")
        await ua.clean()
    for what, one, other in (
        ("escapes", f"<sip:{ua.token}-a@example.com>", f"<sip:{ua.token}-%61@example.com>"),
        ("the case of the host", f"<sip:{ua.token}-a@example.com>", f"<sip:{ua.token}-a@EXAMPLE.com>"),
    ):
        await ua.register(one)
        found = ua.names(await ua.register(other))
        ua.expect(len(found) == 1, f"contacts that differ in {what} are {len(found)} bindings")
        await ua.clean()


@check("register.uri-different", "RFC 3261 19.1.4")
async def uri_different(ua: UserAgent) -> None:
    """Contacts that differ by the user's case, the port or a parameter's value are two bindings."""
    for what, first, second in _DIFFERENT:
        base = f"<sip:{ua.token}-a@192.0.2.1"
        found = ua.names(await ua.register(f"{base}{first}>", f"{base}{second}>"))
        ua.expect(len(found) == 2, f"contacts that differ in {what} are one binding")
        await ua.clean()
    for what, one, other in (
        ("the case of the user", f"<sip:{ua.token}-a@192.0.2.1>", f"<sip:{ua.token}-A@192.0.2.1>"),
        (
            "the default port written out",
            f"<sip:{ua.token}-a@192.0.2.1>",
            f"<sip:{ua.token}-a@192.0.2.1:5060>",
        ),
    ):
        found = ua.names(await ua.register(one, other))
        ua.expect(len(found) == 2, f"contacts that differ in {what} are one binding")
        await ua.clean()


@check("register.other-domain", "RFC 3261 10.3 step 1", Level.SHOULD)
async def other_domain(ua: UserAgent) -> None:
    """A REGISTER for a domain that is not the server's is not accepted there: 404 or 403, or sent on in vain."""
    draft = (await ua.draft(ua.contact())).addressed(f"sip:{ua.word()}.invalid")
    response = await ua.attempt(draft, seconds=ua.timing.answer)
    if response is not None and response.status == 401:
        response = await ua.attempt(ua.answer(ua.anew(draft), ua.choice(response)), seconds=ua.timing.answer)
    ua.expect(response is not None, "a REGISTER for another domain is not answered")
    assert response is not None
    ua.expect(response.status >= 400, f"a REGISTER for another domain is answered {response.status}")
    ua.expect(response.status < 600, "no registrar may answer 6xx")
    ua.expect(ua.names(await ua.fetch()) == [], "it has bound the contact to our AOR")


@check("register.other-aor", "RFC 3261 10.3 step 5")
async def other_aor(ua: UserAgent) -> None:
    """An AOR that is none of the Request-URI's domain is 404, or 403 for who may not change it."""
    foreign = f"<sip:{ua.aor.user}@{ua.word()}.invalid>"
    draft = (await ua.draft(ua.contact())).setting("To", foreign)
    ua.expect_status(await ua.request(draft), 403, 404)
    ua.expect(ua.names(await ua.fetch()) == [], "it has bound the contact to our AOR")


@check("register.aor-canonical", "RFC 3261 10.3 step 5")
async def aor_canonical(ua: UserAgent) -> None:
    """Parameters and escapes in To make no other AOR."""
    aor = ua.aor
    user = aor.user or ""
    escaped = f"%{ord(user[0]):02x}{user[1:]}"
    await ua.register(ua.contact())
    for to in (f"<sip:{user}@{aor.host};user=phone>", f"<sip:{escaped}@{aor.host}>"):
        response = await ua.request(
            (await ua.draft()).setting("To", to).setting("From", f"{to};tag={ua.word(4)}")
        )
        ua.expect_status(response, 200, to=f"To: {to}")
        ua.expect(ua.names(response) == ["a"], f"To: {to} names another AOR")
