"""Who is let in: Digest as RFC 3261 22, RFC 7616 and RFC 8760 have it, and ways around it."""

from __future__ import annotations

import attrs

from sipframe.auth.digest import BASE_ALGORITHMS
from sipframe.checking.check import Level, check
from sipframe.checking.draft import Draft
from sipframe.checking.user_agent import UserAgent
from sipframe.message import Response
from sipframe.ua import Account, Choice
from sipframe.ua.answering import read_challenge


async def _challenged(ua: UserAgent) -> Response:
    """The 401 to a request without credentials."""
    response = await ua.ask(await ua.draft(call_id=ua.word()))
    ua.expect_status(response, 401, to="a REGISTER without credentials")
    return response


async def _choice(ua: UserAgent) -> Choice:
    return ua.choice(await _challenged(ua))


async def _offers(ua: UserAgent, algorithm: str) -> Choice:
    """The challenge with ``algorithm``; skips when it is not offered."""
    for challenge in (await _challenged(ua)).challenges:
        choice = read_challenge(challenge)
        if choice is not None and choice.algorithm.name == algorithm:
            return choice
    return ua.skip(f"{algorithm} is not offered")


def _changed(draft: Draft, old: str, new: str) -> Draft:
    """``draft`` with something else in its Authorization."""
    return draft.setting("Authorization", (draft.first("Authorization") or "").replace(old, new, 1))


@check("digest.required", "RFC 3261 10.3 step 3")
async def required(ua: UserAgent) -> None:
    """Without credentials nothing is bound, listed or removed: 401."""
    await ua.register(ua.contact("a"))
    for draft in (
        await ua.draft(ua.contact("b")),
        await ua.draft(),
        await ua.draft(ua.contact("a"), expires=0),
    ):
        ua.expect_status(await ua.ask(draft), 401, to="a REGISTER without credentials")
    ua.expect(ua.names(await ua.fetch()) == ["a"], "the bindings have changed")


@check("digest.challenge", "RFC 3261 22.4, RFC 7616 3.3")
async def challenge(ua: UserAgent) -> None:
    """The challenge has a realm, a nonce and a qop."""
    challenges = [one for one in (await _challenged(ua)).challenges if one.scheme.lower() == "digest"]
    ua.expect(challenges, "the 401 has no digest challenge")
    for one in challenges:
        missing = [name for name in ("realm", "nonce", "qop") if not one.params.get(name)]
        ua.expect(not missing, f"the challenge has no {', '.join(missing)}")


@check("digest.algorithm", "RFC 8760 2.3, 2.4")
async def algorithm(ua: UserAgent) -> None:
    """No two challenges have the same algorithm; one that is not named is MD5."""
    named = [one.params.get("algorithm", "MD5").upper() for one in (await _challenged(ua)).challenges]
    ua.expect(len(named) == len(set(named)), "two challenges have the same algorithm")


@check("digest.nonce-unique", "RFC 7616 3.3", Level.SHOULD)
async def nonce_unique(ua: UserAgent) -> None:
    """Each 401 has a nonce of its own."""
    nonces = {(await _choice(ua)).nonce for _ in range(4)}
    ua.expect(len(nonces) == 4, f"four challenges have {len(nonces)} nonces")


async def _works_with(ua: UserAgent, choice: Choice) -> None:
    response = await ua.ask(ua.answer(await ua.draft(ua.contact()), choice))
    ua.expect_status(response, 200, to=f"the right password by {choice.algorithm.name}")
    wrong = attrs.evolve(ua.target.account, password=ua.word())
    other = await _offers(ua, choice.algorithm.name)
    response = await ua.ask(ua.answer(await ua.draft(ua.contact()), other, account=wrong))
    ua.expect_refused(response, f"a wrong password by {choice.algorithm.name}")


@check("digest.md5", "RFC 3261 22.4")
async def md5(ua: UserAgent) -> None:
    """MD5, where it is offered, works."""
    await _works_with(ua, await _offers(ua, "MD5"))


@check("digest.sha-256", "RFC 8760 2.1")
async def sha_256(ua: UserAgent) -> None:
    """SHA-256, where it is offered, works."""
    await _works_with(ua, await _offers(ua, "SHA-256"))


@check("digest.sha-512-256", "RFC 8760 2.1")
async def sha_512_256(ua: UserAgent) -> None:
    """SHA-512-256, where it is offered, works."""
    await _works_with(ua, await _offers(ua, "SHA-512-256"))


@check("digest.no-downgrade", "RFC 8760 2.4")
async def no_downgrade(ua: UserAgent) -> None:
    """MD5 is refused where it is not offered."""
    challenges = (await _challenged(ua)).challenges
    offered = [one.params.get("algorithm", "MD5").upper() for one in challenges]
    if "MD5" in offered:
        ua.skip("MD5 is offered")
    strong = await _choice(ua)
    weak = strong._replace(algorithm=BASE_ALGORITHMS[0], algorithm_given=False)
    ua.expect_refused(
        await ua.ask(ua.answer(await ua.draft(ua.contact()), weak)), "MD5, which is not offered,"
    )


@check("digest.auth-int", "RFC 7616 3.4.3")
async def auth_int(ua: UserAgent) -> None:
    """auth-int, where it is offered, works, and covers the body."""
    offer = next(
        (one for one in (await _challenged(ua)).challenges if "auth-int" in one.params.get("qop", "")), None
    )
    choice = None if offer is None else read_challenge(offer)
    if choice is None:
        ua.skip("auth-int is not offered")
    choice = choice._replace(qop="auth-int")
    draft = (await ua.draft()).carrying(b"body").adding("Content-Type", "text/plain")
    ua.expect_status(await ua.ask(ua.answer(draft, choice)), 200, to="auth-int")
    forged = ua.answer(ua.anew(draft), choice, nc=2).carrying(b"forged")
    ua.expect_refused(await ua.ask(forged), "auth-int with another body")


@check("digest.same-nonce", "RFC 7616 3.4 (nc)", Level.SHOULD)
async def same_nonce(ua: UserAgent) -> None:
    """A nonce serves again with the next nonce counts, gaps included; or the answer is stale."""
    choice = await _choice(ua)
    for nc in (1, 2, 5):
        response = await ua.ask(ua.answer(await ua.draft(), choice, nc=nc))
        if response.status == 401 and ua.choice(response).stale:
            ua.skip("its nonces serve once")
        ua.expect_status(response, 200, to=f"nonce count {nc}")


@check("digest.replay", "RFC 7616 3.4 (nc), 5.5", Level.SHOULD)
async def replay(ua: UserAgent) -> None:
    """Credentials that were used do not work for another request: their nonce count is known."""
    choice = await _choice(ua)
    used = ua.answer(await ua.draft(), choice)
    ua.expect_status(await ua.ask(used), 200)
    stolen = ua.anew(await ua.draft(ua.contact(), call_id=ua.word()))
    stolen = stolen.setting("Authorization", used.first("Authorization") or "")
    ua.expect_refused(await ua.ask(stolen), "a replay of credentials")
    ua.expect(ua.names(await ua.fetch()) == [], "the replay has bound a contact")


@check("digest.nc-order", "RFC 7616 3.4 (nc)", Level.SHOULD)
async def nc_order(ua: UserAgent) -> None:
    """A nonce count that comes late works at most once."""
    choice = await _choice(ua)
    ua.expect_status(await ua.ask(ua.answer(await ua.draft(), choice, nc=3)), 200, to="nonce count 3")
    late = await ua.ask(ua.answer(await ua.draft(), choice, nc=2))
    ua.expect_status(late, 200, 401, to="nonce count 2 after 3")
    again = await ua.ask(ua.answer(await ua.draft(), choice, nc=2))
    ua.expect_refused(again, "nonce count 2 for the second time")


@check("digest.nc-malformed", "RFC 7616 3.4.6")
async def nc_malformed(ua: UserAgent) -> None:
    """A nonce count that is not eight hex digits is refused."""
    draft = ua.answer(await ua.draft(ua.contact()), await _choice(ua))
    if "nc=" not in (draft.first("Authorization") or ""):
        ua.skip("qop is not offered")
    for broken in ("nc=xyz", "nc=-0000001"):
        await ua.expect_kept_out(_changed(ua.anew(draft), "nc=00000001", broken), broken)


@check("digest.unknown-nonce", "RFC 3261 22.4")
async def unknown_nonce(ua: UserAgent) -> None:
    """A nonce that the server never gave is refused, by a new challenge."""
    choice = (await _choice(ua))._replace(nonce=ua.word(16))
    response = await ua.ask(ua.answer(await ua.draft(ua.contact()), choice))
    ua.expect_status(response, 401, 403, 400, to="a nonce of our own making")


@check("digest.stale", "RFC 7616 3.3", Level.SHOULD)
async def stale(ua: UserAgent) -> None:
    """The right password with a nonce that is not good any more: stale=true, and then the new nonce works."""
    old = await _choice(ua)
    draft = await ua.draft()
    response = await ua.ask(ua.answer(draft, old._replace(nonce=_tampered(old.nonce))))
    ua.expect_status(response, 401, to="a nonce that is not good")
    fresh = ua.choice(response)
    ua.expect(fresh.stale, "the new challenge does not say stale=true")
    ua.expect_status(await ua.ask(ua.answer(ua.anew(draft), fresh)), 200, to="the new nonce")


@check("digest.not-stale", "RFC 7616 3.3")
async def not_stale(ua: UserAgent) -> None:
    """A wrong password with a good nonce is not stale: that would have a phone try for ever."""
    wrong = attrs.evolve(ua.target.account, password=ua.word())
    response = await ua.ask(ua.answer(await ua.draft(), await _choice(ua), account=wrong))
    ua.expect_status(response, 401, 403, to="a wrong password")
    ua.expect(response.status == 403 or not ua.choice(response).stale, "a wrong password is said to be stale")


def _tampered(nonce: str) -> str:
    """Another nonce that looks like ``nonce``."""
    last = nonce[-2:-1]
    return nonce[:-2] + ("1" if last != "1" else "2") + nonce[-1:]


@check("digest.uri", "RFC 7616 3.4.6")
async def uri(ua: UserAgent) -> None:
    """Credentials that were made for another URI are refused."""
    draft = ua.answer(await ua.draft(ua.contact()), await _choice(ua), uri="sip:elsewhere.invalid")
    ua.expect_refused(await ua.ask(draft), "uri=sip:elsewhere.invalid")


@check("digest.realm", "RFC 3261 22.4")
async def realm(ua: UserAgent) -> None:
    """Credentials for another realm are refused."""
    choice = (await _choice(ua))._replace(realm="elsewhere.invalid")
    ua.expect_refused(await ua.ask(ua.answer(await ua.draft(ua.contact()), choice)), "another realm")


@check("digest.method", "RFC 7616 3.4.3")
async def method(ua: UserAgent) -> None:
    """Credentials that were made for another method are refused."""
    other = ua.answer(attrs.evolve(await ua.draft(), method="OPTIONS"), await _choice(ua))
    draft = (await ua.draft(ua.contact())).setting("Authorization", other.first("Authorization") or "")
    ua.expect_refused(await ua.ask(draft), "a response for OPTIONS")


@check("digest.unknown-parameters", "RFC 7616 3.4")
async def unknown_parameters(ua: UserAgent) -> None:
    """The scheme's name has no case; parameters that are not known are ignored."""
    draft = ua.answer(await ua.draft(), await _choice(ua))
    draft = _changed(draft, "Digest ", 'dIGEST  unheard-of="a, b" , ')
    ua.expect_status(await ua.ask(draft), 200)


@check("digest.several-credentials", "RFC 3261 22.3", Level.SHOULD)
async def several_credentials(ua: UserAgent) -> None:
    """Credentials for other realms beside ours do no harm."""
    draft = ua.answer(await ua.draft(), await _choice(ua))
    own = draft.first("Authorization") or ""
    other = (
        'Digest username="x", realm="elsewhere.invalid", nonce="1", uri="sip:x", response="' + "0" * 32 + '"'
    )
    draft = draft.without("Authorization").adding("Authorization", other).adding("Authorization", own)
    ua.expect_status(await ua.ask(draft), 200)


@check("digest.enumeration", "RFC 7616 5.4", Level.SHOULD)
async def enumeration(ua: UserAgent) -> None:
    """An unknown user name is answered as a wrong password is."""
    shapes = []
    for username in (ua.target.account.username, f"nobody-{ua.word(4)}"):
        account = attrs.evolve(ua.target.account, username=username, password=ua.word())
        response = await ua.ask(ua.answer(await ua.draft(), await _choice(ua), account=account))
        ua.expect_refused(response, "a wrong password")
        offers = [sorted(one.params.keys() | {one.params.get("stale", "")}) for one in response.challenges]
        shapes.append((response.status, response.reason, list(response.fields), offers))
    ua.expect(shapes[0] == shapes[1], "an unknown user is told from a wrong password by the answer")


@check("digest.no-bypass", "RFC 3261 22.1")
async def no_bypass(ua: UserAgent) -> None:
    """Nothing short of the right password lets a REGISTER in, whatever stands in Authorization or From."""
    choice = await _choice(ua)
    good = ua.answer(await ua.draft(ua.contact()), choice)
    name = ua.target.account.username
    digest = next(
        word for word in (good.first("Authorization") or "").split(", ") if word.startswith("response=")
    )
    for what, value in (
        ("another scheme", f"Basic {name}"),
        ("an empty digest", "Digest"),
        ("an empty response", (good.first("Authorization") or "").replace(digest, 'response=""')),
        (
            "a response of zeros",
            (good.first("Authorization") or "").replace(digest, f'response="{"0" * 32}"'),
        ),
        ("no response", (good.first("Authorization") or "").replace(f"{digest}, ", "")),
        (
            "an empty user name",
            (good.first("Authorization") or "").replace(f'username="{name}"', 'username=""'),
        ),
    ):
        draft = ua.anew(await ua.draft(ua.contact())).setting("Authorization", value)
        await ua.expect_kept_out(draft, what)
    spoofed = (await ua.draft(ua.contact())).setting("From", f"<{ua.domain}>;tag={ua.word(4)}")
    await ua.expect_kept_out(spoofed, "a From that is the server itself")
    ua.expect(ua.names(await ua.fetch()) == [], "one of them has bound a contact")


@check("digest.methods", "RFC 3261 22.1")
async def methods(ua: UserAgent) -> None:
    """No other method binds a contact or lists one, with or without case."""
    await ua.register(ua.contact("a"))
    for name in ("register", "Register", "OPTIONS", "PUBLISH", "NOTIFY", "UPDATE", "MESSAGE"):
        response = await ua.attempt(await ua.draft(ua.contact("b"), method=name))
        told = response is not None and response.status < 300 and ua.token in str(response.all("contact"))
        ua.expect(not told, f"{name} without credentials tells the bindings")
    ua.expect(ua.names(await ua.fetch()) == ["a"], "the bindings have changed")


async def _of_another(ua: UserAgent, other: Account) -> None:
    """Our credentials, the other's AOR; From is theirs and then ours."""
    for sender in (other.aor, ua.aor):
        draft = await ua.draft(ua.contact(), call_id=ua.word())
        draft = draft.setting("To", f"<{other.aor}>").setting("From", f"<{sender}>;tag={ua.word(4)}")
        response = await ua.request(draft)
        if response.status == 200:  # that must not stay there
            _ = await ua.request(ua.anew(draft).setting("Expires", "0"))
        ua.expect_status(response, 403, 404, to="a REGISTER for another one's AOR")


@check("digest.other-aor", "RFC 3261 10.3 step 4")
async def other_aor(ua: UserAgent) -> None:
    """Who has proved to be one user may not bind another's AOR: 403."""
    aor = ua.aor._replace(user=f"nobody-{ua.word(4)}")
    await _of_another(ua, Account(aor, aor.user or ""))


@check("digest.second-user", "RFC 3261 10.3 step 4")
async def second_user(ua: UserAgent) -> None:
    """One user of the server may not bind another one's AOR: 403, both ways."""
    second = ua.target.second
    if second is None:
        ua.skip("there is no --second-user")
    await _of_another(ua, second)
    response = await ua.request(await ua.draft(ua.contact()), second)
    ua.expect_status(response, 403, to="the second user's REGISTER for our AOR")
    ua.expect(ua.names(await ua.fetch()) == [], "it has bound the contact")


@check("digest.user-in-from", "RFC 3261 10.3 step 5")
async def user_in_from(ua: UserAgent) -> None:
    """Bindings are made for To, never for From."""
    await ua.register(ua.contact("a"))
    draft = (await ua.draft()).setting("From", f"<sip:someone@{ua.word(4)}.invalid>;tag={ua.word(4)}")
    response = await ua.request(draft)
    ua.expect_status(response, 200, 403, to="a REGISTER whose From is another one")
    ua.expect(
        response.status == 403 or ua.names(response) == ["a"], "it lists other bindings than those of To"
    )
