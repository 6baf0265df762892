"""The targets by name: which oracle, and how long an input may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from fuzz.oracles import files, messages, others, values, whole

__all__ = ["TARGETS", "Target"]


class Target(NamedTuple):
    """``check`` takes any octets and raises when it has found something; ``longest`` are octets."""

    check: Callable[[bytes], None]
    longest: int = 4_096


TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "datagram": Target(messages.datagram, 8_192),
        "stream": Target(messages.stream, 8_192),
        "uri": Target(values.uri, 1_024),
        "addresses": Target(values.addresses, 1_024),
        "via": Target(values.via, 1_024),
        "credentials": Target(values.credentials, 1_024),
        "fields": Target(values.fields, 512),
        "stun": Target(others.stun, 1_024),
        "flow-token": Target(others.flow_token, 512),
        "bearer": Target(others.bearer, 2_048),
        "admin": Target(others.admin, 2_048),
        "configuration": Target(files.configuration),
        "users": Target(files.users),
        "htdigest": Target(files.htdigest),
        "options": Target(files.options, 512),
        "server": Target(whole.server, 8_192),
    }
)
