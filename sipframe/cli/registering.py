"""What ``sipframe register`` does once its command line is understood.

Rules: the reactor, entropy and the watcher are arguments. Whatever the server has sent goes through the watcher, or
:func:`~sipframe.cli.terminal.visible`, before it is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from sipframe.cli.command import CommandError
from sipframe.cli.terminal import visible
from sipframe.cli.watching import Watcher
from sipframe.message import SipURI
from sipframe.ua import Account, Action, ClientError, Contact, Finished, Registration, Server
from sipframe.ua.client import connect, open_datagrams, register, resolve
from sipframe.ua.flows import ClientFlow
from sipframe.ua.server import with_port

__all__ = ["Settings", "run"]


@attrs.frozen(kw_only=True)
class Settings:
    """One registration, as it was asked for. ``creator`` is for TLS; times are in seconds."""

    account: Account
    server: Server
    creator: IOpenSSLClientConnectionCreator | None = None
    action: Action = Action.BIND
    contacts: tuple[Contact, ...] = ()
    """Empty: one at our end of the flow."""
    expires: int | None = None
    timeout: float = 32.0


async def run(reactor: Any, settings: Settings, entropy: Callable[[int], bytes], watcher: Watcher) -> int:
    """Register, draw, list; return the exit code. Raises CommandError."""
    server = settings.server
    registering = Deferred.fromCoroutine(_register_anywhere(reactor, settings, entropy, watcher))
    try:
        finished = await registering.addTimeout(settings.timeout, reactor)
    except DeferredTimeout:
        watcher.gave_up("no answer")
        raise CommandError(f"{server}: no answer within {settings.timeout:g} s") from None
    except ClientError as error:
        watcher.gave_up(str(error))
        raise CommandError(f"{server}: {visible(str(error))}") from None
    watcher.end()
    if not finished.accepted:
        answer = f"{finished.response.status} {visible(finished.response.reason)}"
        raise CommandError(f"{server}: {finished.verdict} ({answer})")
    watcher.summarize(settings.account.aor, finished)
    return 0


async def _register_anywhere(
    reactor: Any, settings: Settings, entropy: Callable[[int], bytes], watcher: Watcher
) -> Finished:
    """Try the server's addresses in turn until one has answered (RFC 3263 4.3). Raises ClientError."""

    async def on_flow(flow: ClientFlow) -> Finished:
        aor = settings.account.aor
        address = with_port(*flow.local)
        contacts = settings.contacts or (_contact_at(aor, flow.transport, address),)
        registration = Registration(
            settings.account,
            (flow.transport, address),
            entropy,
            action=settings.action,
            contacts=contacts,
            expires=settings.expires,
        )
        watcher.connected(settings.server, flow, contacts)
        return await register(reactor, flow, registration, watcher)

    server = settings.server
    if server.transport != "UDP":
        return await on_flow(await connect(reactor, server, settings.creator, settings.timeout))
    addresses = await resolve(reactor, server.host)
    if not addresses:
        raise ClientError("there is no address for that name", unreachable=True)
    for address in addresses[:-1]:
        try:
            return await on_flow(open_datagrams(reactor, address, server.port))
        except ClientError as error:
            if not error.unreachable:
                raise
            watcher.gave_up(str(error))
    return await on_flow(open_datagrams(reactor, addresses[-1], server.port))


def _contact_at(aor: SipURI, transport: str, address: str) -> Contact:
    """A contact at our end of the flow."""
    # RFC 5630 5.1.1.1: a sips Contact for a sips AOR and for no other; and never transport=tls.
    stream = ";transport=tcp" if transport != "UDP" and aor.scheme == "sip" else ""
    return Contact(f"<{aor.scheme}:{aor.user}@{address}{stream}>")
