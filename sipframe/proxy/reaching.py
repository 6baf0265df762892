"""How a contact is reached: by its flow, by its URI, or not at all (RFC 3261 16.5, RFC 5626 5.3, RFC 5630 5.3).

Rules: a contact that was registered over a connection is reached by that connection while it lives. When it is gone,
the URI is tried, unless nobody but that connection could lead there: behind a NAT, or with Outbound. Over UDP the
URI leads, unless it is that of a host behind a NAT: then the address pair does that the REGISTER came by. A contact
with a path is reached by the path alone (RFC 3327 5.4). A SIPS request goes to SIPS contacts only; a SIP request goes
to a SIPS contact as a SIP request, over TLS. What is no SIP URI is never a target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

from sipframe.instances import instance_of, newest_first
from sipframe.interfaces import IFlow
from sipframe.message import MessageError, SipURI, parse_uri
from sipframe.proxy.routing import Way
from sipframe.proxy.targets import target_of
from sipframe.roads import FlowText, Hop, parse_flow_text
from sipframe.verdicts import Binding, Target

__all__ = ["Found", "Lead", "Road", "behind_nat", "lead", "reach", "road_to"]

_HIDDEN: Final = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # RFC 6598
        "169.254.0.0/16",  # RFC 3927
        "127.0.0.0/8",
        "::1/128",
        "fc00::/7",  # RFC 4193
        "fe80::/10",
    )
)
"""Addresses that mean something only where they are."""


class Road(Enum):
    """What leads to a URI."""

    FLOW = "flow"
    """Its flow and nothing else."""
    EITHER = "either"
    """Its flow while that lives, then the URI."""
    URI = "URI"


class Found(NamedTuple):
    """The targets that bindings make, and why others make none."""

    targets: tuple[Target, ...]
    left_out: tuple[tuple[str, str], ...]
    """Contact and reason."""
    insecure: bool
    """Whether one was left out because the request is SIPS and the contact is not."""


@lru_cache(maxsize=4096)
def behind_nat(host: str, peer: str) -> bool:
    """Whether ``host`` of a contact is hidden behind ``peer``, where its request came from."""
    bare = host.strip("[]")
    if bare == peer:
        return False
    try:
        address = ip_address(bare)
    except ValueError:
        return bare.rstrip(".").lower().endswith(".invalid")  # RFC 7118 5: there is no such host
    return any(address in network for network in _HIDDEN if network.version == address.version)


def road_to(uri: SipURI, flow: FlowText, *, outbound: bool = False) -> Road:
    """What leads to ``uri``, which came by ``flow``. ``outbound``: it was registered by RFC 5626."""
    if outbound or behind_nat(uri.host, flow.peer.host):
        return Road.FLOW
    wanted = (uri.param("transport") or "").upper()
    if flow.transport != "UDP":
        return Road.URI if wanted == "UDP" and flow.transport == "TCP" else Road.EITHER
    same = (uri.host.strip("[]"), uri.port or 5060) == flow.peer
    return Road.EITHER if same and wanted in ("", "UDP") and uri.scheme == "sip" else Road.URI


def reach(
    bindings: Sequence[Binding],
    now: float,
    secure: bool,
    alive: Callable[[str], IFlow | None],
    *,
    gruu: bool = False,
) -> Found:
    """The targets of ``bindings``.

    ``secure``: the Request-URI is a SIPS URI; ``alive`` finds a flow that lives; ``gruu``: they are all of one device.
    """
    targets: list[Target] = []
    left_out: list[tuple[str, str]] = []
    insecure = False
    devices: dict[str, int] = {}
    # RFC 5626 7, RFC 5627 6.1: one flow of a device at a time, the one that was registered last.
    for binding in newest_first(bindings) if gruu or _several(bindings) else bindings:
        if binding.expires_at <= now:
            continue
        contact = binding.contact
        device = instance_of(binding.instance_id) if gruu or binding.reg_id is not None else None
        target = target_of(contact, binding.q, binding.path)
        if target is None:
            left_out.append((contact, "it is no SIP URI"))
            continue
        sips = contact[:5].lower() == "sips:"
        if secure and not sips:
            insecure = True
            left_out.append((contact, "it is no SIPS URI, and the Request-URI is one"))  # RFC 5630 5.3
            continue
        if sips and not secure:
            target = target._replace(uri=f"sip:{contact[5:]}", secure=True)  # RFC 5630 5.3
        if binding.flow is not None and not binding.path:
            try:
                name = parse_flow_text(binding.flow)
                uri = parse_uri(contact)
            except (ValueError, MessageError):
                name = None
            if name is not None and isinstance(uri, SipURI):
                road = road_to(uri, name, outbound=binding.reg_id is not None)
                if road is not Road.URI:
                    if alive(binding.flow) is not None:
                        target = target._replace(flow=binding.flow)
                    elif road is Road.FLOW:
                        left_out.append((contact, "its connection is gone"))  # RFC 5626 5.3
                        continue
        if device is None:
            targets.append(target)
        elif device in devices:
            first = targets[devices[device]]
            targets[devices[device]] = first._replace(instead=(*first.instead, target))
        else:
            devices[device] = len(targets)
            targets.append(target)
    return Found(tuple(targets), tuple(left_out), insecure)


class Lead(NamedTuple):
    """What leads to a target just now."""

    flow: IFlow | None
    """The flow that a request is sent by; None: where the procedures of RFC 3263 lead from ``uri``."""
    uri: SipURI
    secure: bool
    """Whether nothing but TLS will do."""

    def hops(self, found: object) -> list[Hop]:
        """What a resolver has found for ``uri``. Raises TypeError when that is none of its answers."""
        if not isinstance(found, list | tuple) or not all(type(hop) is Hop for hop in found):
            raise TypeError("resolve() gave no hops")
        return [hop for hop in found if hop.transport == "TLS"] if self.secure else list(found)


def lead(
    way: Way,
    target: Target,
    dialog_flow: FlowText | None,
    find: Callable[[FlowText], IFlow | None],
    *,
    bound: bool = False,
) -> Lead | None:
    """What leads to ``target`` by ``way``; None when that was a flow which is gone.

    ``dialog_flow`` is the flow that a Route of ours names; ``bound`` that its far end is the only host that may be
    reached. Raises ValueError when the flow of ``target`` has no name.
    """
    uri = way.next_hop
    secure = target.secure or uri.scheme == "sips" or way.uri_text[:5].lower() == "sips:"
    name, road = dialog_flow, Road.EITHER
    if name is not None and target.flow is None:
        road = road_to(uri, name)
    elif target.flow is not None:
        name = parse_flow_text(target.flow)
    away = (
        bound
        and name is not None
        and (uri.param("maddr") is not None or uri.host.strip("[]") != name.peer.host)
    )
    if name is not None and (away or road is not Road.URI):
        flow = find(name)
        if flow is not None and (flow.secure or not secure):
            return Lead(flow, uri, secure)
        if away or road is Road.FLOW:
            return None
    return Lead(None, uri._replace(scheme="sips") if secure else uri, secure)


def _several(bindings: Sequence[Binding]) -> bool:
    return len(bindings) > 1 and any(binding.reg_id is not None for binding in bindings)
