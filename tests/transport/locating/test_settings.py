"""The settings of looking up: what is wrong is said, and the file can say all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from sipframe.config_file import read_configuration
from sipframe.seams import PluginLimits
from sipframe.transport import ResolverSettings
from sipframe.transport.locating.settings import name_server


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("fe80::1%eth0", ("fe80::1%eth0", 53)),
    ],
)
def test_name_servers(text: str, server: tuple[str, int]) -> None:
    assert name_server(text) == server


@pytest.mark.parametrize(
    "text",
    ["", "ns.example.com", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "[::1]x", "1.2.3.4:5:6"],
)
def test_no_name_servers(text: str) -> None:
    with pytest.raises(ValueError, match="servers: "):
        ResolverSettings(servers=(text,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            (field.name, -1)
            for field in attrs.fields(ResolverSettings)
            if type(field.default) in (int, float)
        ],
        ("deadline", 0.0),
        ("deadline", float("inf")),
        ("versions", ()),
        ("versions", (4, 4)),
        ("transports", ("UDP", "UDP")),
    ],
)
def test_what_is_wrong_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        ResolverSettings(**{name: value})


def test_it_is_over_before_the_seam_is() -> None:
    # Else the seam would say that the resolver does not work.
    assert ResolverSettings().deadline < PluginLimits().deadline


def test_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sipframe.toml"
    file.write_text(
        """
        [resolving]
        servers = ["192.0.2.53", "[2001:db8::53]:5353"]
        hosts = "names"
        transports = ["TLS", "TCP"]
        versions = [4]
        deadline = 2
        most-hops = 4
        """
    )
    assert read_configuration(file, tmp_path).resolving == ResolverSettings(
        servers=("192.0.2.53", "[2001:db8::53]:5353"),
        hosts=tmp_path / "names",
        transports=("TLS", "TCP"),
        versions=(4,),
        deadline=2.0,
        most_hops=4,
    )
