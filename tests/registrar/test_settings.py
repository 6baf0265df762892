"""Settings of the registrar are checked when they are made."""

from __future__ import annotations

import pytest

from sipframe.registrar import RegistrarSettings


@pytest.mark.parametrize(
    "route",
    [
        "<sip:edge.example.com;lr>",
        "<sips:edge.example.com:5062;transport=tcp;lr>",
        '"The edge" <sip:user@edge.example.com;LR>;x=1',
        "<sip:[2001:db8::1];lr=on>",
    ],
)
def test_a_service_route(route: str) -> None:
    assert RegistrarSettings(service_route=[route]).service_route == (route,)


@pytest.mark.parametrize(
    ("route", "what"),
    [
        ("<sip:edge.example.com>", "has no lr"),
        ("<sip:edge.example.com>;lr", "has no lr"),
        ("sip:edge.example.com;lr", "angle brackets"),
        ("<tel:+1;lr>", "angle brackets"),
        ("<sip:edge.example.com;lr?x=y>", "angle brackets"),
        ("<sip:a;lr>, <sip:b;lr>", "angle brackets"),
        ("<sip:a;lr>\r\nVia: x", "angle brackets"),
        ('"a\x00b" <sip:a;lr>', "angle brackets"),
        ("", "angle brackets"),
    ],
)
def test_what_is_no_service_route(route: str, what: str) -> None:
    with pytest.raises(ValueError, match=f"^service_route: .*{what}"):
        _ = RegistrarSettings(service_route=["<sip:fine;lr>", route])


@pytest.mark.parametrize("timer", [-1, 2**31])
def test_what_is_no_flow_timer(timer: int) -> None:
    with pytest.raises(ValueError, match="flow_timer"):
        _ = RegistrarSettings(flow_timer=timer)


def test_option_tags_are_those_of_what_is_on() -> None:
    assert RegistrarSettings().option_tags == ("gruu", "outbound", "path")
    assert RegistrarSettings(gruu=False).option_tags == ("outbound", "path")
    assert RegistrarSettings(outbound=False, gruu=False).option_tags == ("path",)
