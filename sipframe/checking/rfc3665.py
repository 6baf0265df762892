"""The five registration flows of RFC 3665 section 2, as a phone goes through them."""

from __future__ import annotations

import attrs

from sipframe.checking.check import Level, check
from sipframe.checking.user_agent import HOUR, UserAgent


@check("flow.new", "RFC 3665 2.1")
async def new_registration(ua: UserAgent) -> None:
    """A new registration: challenged, answered, and listed with how long it lasts."""
    draft = await ua.draft(ua.contact(), expires=HOUR)
    challenged = await ua.ask(draft)
    ua.expect_status(challenged, 401, to="a REGISTER without credentials")
    response = await ua.ask(ua.answer(ua.anew(draft), ua.choice(challenged)))
    ua.expect_status(response, 200, to="the one with credentials")
    ua.expect(ua.names(response) == ["a"], "the 200 does not list the contact that was registered")
    lasts = ua.mine(response).popitem()[1].expires
    ua.expect(lasts is not None and 0 < lasts <= HOUR, f"the contact's expires is {lasts}")


@check("flow.update", "RFC 3665 2.2")
async def update(ua: UserAgent) -> None:
    """A second contact is added; the 200 lists both."""
    await ua.register(ua.contact("a"))
    response = await ua.register(ua.contact("b"))
    ua.expect(ua.names(response) == ["a", "b"], f"the 200 lists {ua.names(response)}, not both contacts")


@check("flow.other-scheme", "RFC 3665 2.2, RFC 3261 10.2", Level.SHOULD)
async def other_scheme(ua: UserAgent) -> None:
    """A contact may be a URI of any scheme: mailto is bound and listed."""
    response = await ua.register(f"<mailto:{ua.token}-a@example.com>")
    ua.expect(ua.names(response) == ["a"], "the 200 does not list the mailto contact")


@check("flow.query", "RFC 3665 2.3")
async def query(ua: UserAgent) -> None:
    """A REGISTER without Contact lists what is bound and changes nothing."""
    bound = ua.mine(await ua.register(ua.contact("a"), ua.contact("b")))
    for _ in range(2):
        found = ua.mine(await ua.fetch())
        ua.expect(found.keys() == bound.keys(), "the query does not list the contacts that are bound")


@check("flow.cancel", "RFC 3665 2.4")
async def cancel(ua: UserAgent) -> None:
    """Contact: * with Expires: 0 removes every binding."""
    ua.needs_vacancy()
    await ua.register(ua.contact("a"), ua.contact("b"))
    response = await ua.register("*", expires=0)
    ua.expect(not response.all("contact"), "the 200 still lists a contact")
    ua.expect(not (await ua.fetch()).all("contact"), "a query still lists a contact")


@check("flow.refused", "RFC 3665 2.5")
async def refused(ua: UserAgent) -> None:
    """A wrong password is refused, and binds nothing."""
    wrong = attrs.evolve(ua.target.account, password=ua.word())
    response = await ua.request(await ua.draft(ua.contact()), wrong)
    ua.expect_status(response, 401, 403, to="a wrong password")
    ua.expect(ua.names(await ua.fetch()) == [], "the contact is bound all the same")
