"""What we listen on, as seen from requests that leave."""

from __future__ import annotations

from typing import Any

import pytest

from sipframe.transport import Listening, OurEnds
from sipframe.verdicts import Address


@pytest.mark.parametrize(
    ("listening", "udp", "streams"),
    [
        ((), set(), set()),
        (("UDP 192.0.2.1",), {4}, {4}),
        (("UDP 192.0.2.1", "TCP ::"), {4}, {4, 6}),
        (("TLS 2001:db8::1",), set(), {6}),
        (("UDP ::", "UDP 0.0.0.0"), {4, 6}, {4, 6}),
    ],
)
def test_ip_versions(listening: tuple[str, ...], udp: set[int], streams: set[int]) -> None:
    port: Any = None
    ends = OurEnds([Listening(*_ends(text), port) for text in listening])
    assert ends.versions("UDP") == udp
    assert ends.versions("TCP") == ends.versions("TLS") == streams


def _ends(text: str) -> tuple[str, Address]:
    transport, host = text.split(" ")
    return transport, Address(host, 5060)
