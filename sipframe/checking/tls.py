"""What TLS promises: versions (RFC 8996, RFC 9325 3.1.1) and whom the certificate names (RFC 5922)."""

from __future__ import annotations

from typing import Final

from sipframe.checking.check import Level, check
from sipframe.checking.user_agent import UserAgent
from sipframe.peer_identity import peer_identity

_TLS: Final = frozenset({"TLS"})


@check("tls.register", "RFC 3261 26.2.1", transports=_TLS)
async def register(ua: UserAgent) -> None:
    """A registration over TLS."""
    response = await ua.register(ua.contact())
    ua.expect(ua.names(response) == ["a"], "the contact is not listed")
    ua.expect(response.via.transport == "TLS", "the Via of the answer is not that of TLS")


@check("tls.version", "RFC 9325 3.1.1", transports=_TLS)
async def version(ua: UserAgent) -> None:
    """What is agreed on is TLS 1.2 or later."""
    agreed = (await ua.connect()).tls_version
    ua.expect(agreed in ("TLSv1.2", "TLSv1.3"), f"the version agreed on is {agreed}")


@check("tls.newest", "RFC 9325 3.1.1", Level.SHOULD, transports=_TLS)
async def newest(ua: UserAgent) -> None:
    """TLS 1.3 is agreed on with who offers it."""
    agreed = (await ua.connect()).tls_version
    ua.expect(agreed == "TLSv1.3", f"the version agreed on is {agreed}")


async def _refused(ua: UserAgent, old: str) -> None:
    flow = await ua.sockets.open_old_tls(old)
    if flow is not None:
        flow.close()
    ua.expect(flow is None, f"a handshake with {old} succeeds")
    await ua.connect()  # it is not that nobody is there


@check("tls.no-1.0", "RFC 8996 4", transports=_TLS)
async def no_1_0(ua: UserAgent) -> None:
    """TLS 1.0 is refused."""
    await _refused(ua, "TLSv1")


@check("tls.no-1.1", "RFC 8996 5", transports=_TLS)
async def no_1_1(ua: UserAgent) -> None:
    """TLS 1.1 is refused."""
    await _refused(ua, "TLSv1.1")


@check("tls.trusted", "RFC 3261 26.3.1", transports=_TLS)
async def trusted(ua: UserAgent) -> None:
    """The certificate is signed by an authority that is trusted, and is for the host that was connected to."""
    if not ua.target.checked_certificate:
        ua.skip("--insecure: nothing is checked")
    await ua.connect()  # which is refused otherwise


@check("tls.domain", "RFC 5922 7.1, 7.3", transports=_TLS)
async def domain(ua: UserAgent) -> None:
    """The certificate names the SIP domain of the AOR, as a sip URI or a DNS name."""
    certificate = (await ua.connect()).peer_certificate
    assert certificate is not None
    try:
        named = peer_identity(certificate).domains
    except ValueError as error:
        ua.expect(False, f"the certificate cannot be read: {error}")
        return
    ua.expect(
        ua.aor.host.lower() in named, f"the certificate is for {', '.join(sorted(named)) or 'no domain'}"
    )


@check("tls.many", "RFC 3261 26.3.1", transports=_TLS)
async def many(ua: UserAgent) -> None:
    """Connections one after the other all come about, resumed or not."""
    for _ in range(4):
        await ua.fetch()
        ua.disconnect()
