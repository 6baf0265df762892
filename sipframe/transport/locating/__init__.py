"""From URIs to hops: locating SIP servers (RFC 3263), by SRV and NAPTR records, with what failed tried last."""

from sipframe.transport.locating.back_off import BackOff
from sipframe.transport.locating.name_servers import DNSClient
from sipframe.transport.locating.resolver import SIPResolver
from sipframe.transport.locating.settings import ResolverSettings

__all__ = ["BackOff", "DNSClient", "ResolverSettings", "SIPResolver"]
