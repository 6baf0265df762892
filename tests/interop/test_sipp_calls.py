"""SIPp's own uac calls its own uas through the proxy: no call fails, and nothing is left when the timers have ended.

The uac knows nothing of Record-Route: it sends ACK and BYE to the user whom it called, who is looked up each time. A
minute at a higher rate is ``benchmarks/sipp_calls.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.counters import until_idle
from tests.interop.sipp_calls import call, serving
from tests.tools import require_tool

CALLS, RATE = 500, 100


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_calls(tmp_path: Path, transport: str) -> None:
    require_tool("sipp")
    with serving(tmp_path, "--t1=0.25") as server:
        done = call(server, tmp_path, transport, CALLS, RATE)
        assert (done.placed, done.failed) == (CALLS, 0)
        counted = until_idle(server)
    proxy = counted["proxy"]
    assert (proxy["proxied"], proxy["calls_underway"]) == (2 * CALLS, 0)  # INVITE and BYE
    assert proxy["acks"] >= CALLS
    assert proxy["acks_dropped"] == 0
