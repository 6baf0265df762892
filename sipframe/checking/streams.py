"""Requests over connections: framing (RFC 3261 7.5, 18.3), keep-alives (RFC 5626 3.5.1), what must not stop them."""

from __future__ import annotations

from sipframe.checking.check import STREAMS, Level, check
from sipframe.checking.user_agent import UserAgent


@check("stream.several", "RFC 3261 18.2.2", transports=STREAMS)
async def several(ua: UserAgent) -> None:
    """One connection carries one request after another, and their answers."""
    flow = await ua.connect()
    for name in "abc":
        await ua.register(ua.contact(name))
    ua.expect(ua.connected and await ua.connect() is flow, "the server has closed the connection in between")


@check("stream.pipelined", "RFC 3261 18.3", transports=STREAMS)
async def pipelined(ua: UserAgent) -> None:
    """Requests that come in one segment are all answered."""
    drafts = [await ua.draft(call_id=ua.word()) for _ in range(8)]
    last = drafts[-1]
    octets = b"".join([draft.to_bytes() for draft in drafts])
    response = await ua.attempt(octets, last.cookie, ua.timing.answer)
    ua.expect(response is not None, "the last of eight requests is not answered")
    await ua.until(lambda: len(ua.strays) >= len(drafts) - 1)
    answered = {one.via.branch for one in ua.strays}
    missing = [draft for draft in drafts[:-1] if draft.cookie not in answered]
    ua.expect(not missing, f"{len(missing)} of eight requests are not answered")


@check("stream.octets", "RFC 3261 18.3", transports=STREAMS)
async def octets(ua: UserAgent) -> None:
    """A request may come in pieces of any size, down to single octets."""
    draft = (await ua.draft()).carrying(b"body").adding("Content-Type", "text/plain")
    data = draft.to_bytes()
    single = [data[at : at + 1] for at in range(len(data))]
    response = await ua.attempt(data, draft.cookie, ua.timing.answer, pieces=single)
    ua.expect(response is not None, "a request that comes octet by octet is not answered")


@check("stream.body-apart", "RFC 3261 18.3", transports=STREAMS)
async def body_apart(ua: UserAgent) -> None:
    """A body that looks like a request is a body, and what follows it is the next request."""
    hidden = await ua.draft(call_id=ua.word())
    first = (
        (await ua.draft(call_id=ua.word())).carrying(hidden.to_bytes()).adding("Content-Type", "message/sip")
    )
    second = await ua.draft(call_id=ua.word())
    response = await ua.attempt(first.to_bytes() + second.to_bytes(), second.cookie, ua.timing.answer)
    ua.expect(response is not None, "the request behind the body is not answered")
    await ua.wait(ua.timing.silence)
    told = [one for one in ua.strays if one.via.branch == hidden.cookie]
    ua.expect(not told, "the body is answered as if it were a request")


@check("stream.ping", "RFC 5626 3.5.1", Level.SHOULD, transports=STREAMS)
async def ping(ua: UserAgent) -> None:
    """CRLFCRLF between requests is answered by CRLF."""
    await ua.fetch()
    before = ua.pongs
    await ua.send(b"\r\n\r\n")
    await ua.until(lambda: ua.pongs > before)
    ua.expect(ua.pongs == before + 1, f"CRLFCRLF is answered by {ua.pongs - before} CRLFs")
    await ua.fetch()


@check("stream.no-length", "RFC 3261 18.3, 20.14", Level.SHOULD, transports=STREAMS)
async def no_length(ua: UserAgent) -> None:
    """A request without Content-Length is refused by 400 or closes the connection; nothing hangs."""
    draft = await ua.draft()
    data = draft.to_bytes().replace(b"Content-Length: 0\r\n", b"")
    response = await ua.attempt(data, draft.cookie, ua.timing.answer)
    if response is None:
        ua.expect(not ua.connected, "it is neither answered nor is the connection closed")
    else:
        ua.expect_status(response, 400)


@check("stream.bad-length", "RFC 3261 20.14", transports=STREAMS)
async def bad_length(ua: UserAgent) -> None:
    """A Content-Length that is no number, or a huge one, is refused, waited for or closes the connection; no more."""
    for length in ("0x10", "99999999999999999999", "1e3", "+4"):
        draft = (await ua.draft()).setting("Content-Length", length)
        response = await ua.attempt(draft)
        if response is not None:
            ua.expect_status(response, 400, 413, 513, to=f"Content-Length: {length}")
        ua.disconnect()
    await ua.fetch()


@check("stream.wrong-length", "RFC 3261 18.3", transports=STREAMS)
async def wrong_length(ua: UserAgent) -> None:
    """A Content-Length that is too small makes garbage of the rest: no harm comes to other connections."""
    draft = (await ua.draft()).carrying(b"garbage without an end").setting("Content-Length", "3")
    _ = await ua.attempt(draft)
    ua.disconnect()
    await ua.fetch()


@check("stream.garbage", "RFC 3261 7", transports=STREAMS)
async def garbage(ua: UserAgent) -> None:
    """What is no SIP at all does not stop the server."""
    for data in (b"\0\xff" * 512, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r" * 64, b"REGISTER\r\n\r\n"):
        await ua.send(data)
        await ua.wait(ua.timing.silence / 4)
        ua.disconnect()
    await ua.fetch()


@check("stream.half", "RFC 3261 18.3", transports=STREAMS)
async def half(ua: UserAgent) -> None:
    """A connection that is lost in the middle of a request, or before its answer, does no harm."""
    data = (await ua.draft()).to_bytes()
    await ua.send(data[: len(data) // 2])
    ua.disconnect()
    await ua.send((await ua.draft()).to_bytes())
    ua.disconnect()
    await ua.fetch()


@check("stream.binding-stays", "RFC 3261 10.2", transports=STREAMS)
async def binding_stays(ua: UserAgent) -> None:
    """A binding lasts as long as the 200 said, not as long as the connection."""
    await ua.register(f"<sip:{ua.token}-a@192.0.2.1>")
    ua.disconnect()
    ua.expect(ua.names(await ua.fetch()) == ["a"], "the binding is gone with its connection")
