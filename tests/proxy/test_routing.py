"""Routes that come and routes that go (RFC 3261 16.4, 16.6 steps 2, 6 and 7, 16.12)."""

from __future__ import annotations

import pytest

from sipframe.message import MessageError, Request, SipURI
from sipframe.proxy import Preprocessed, preprocess, request_uri, way
from tests.fakes import request


class P:
    """A proxy that is ``name``, and knows the URIs it recorded by their user."""

    def __init__(self, name: str, *addresses: str) -> None:
        self.names = (name, *addresses)

    def recorded(self, uri: SipURI) -> bool:
        return uri.user == "token" and uri.host in self.names

    def here(self, uri: SipURI) -> bool:
        return uri.host in self.names

    def maddr(self, uri: SipURI) -> bool:
        port = uri.port or 5060
        return uri.param("maddr") in self.names and port == 5060 and uri.param("transport") in (None, "udp")


US = P("us.example.com", "192.0.2.1", "[2001:db8::1]")


def come(uri: str, *routes: str, us: P = US) -> Preprocessed:
    return preprocess(bye(uri, *routes), us)


def bye(uri: str, *routes: str) -> Request:
    return request("BYE", *[f"Route: {route}" for route in routes], uri=uri)


# 16.4.


def test_a_request_without_routes() -> None:
    found = come("sip:bob@example.com")
    assert (found.uri_text, found.routes, found.changed, found.taken) == (
        "sip:bob@example.com",
        (),
        False,
        (),
    )


def test_a_route_of_others_stays() -> None:
    found = come("sip:bob@example.com", '"P" <sip:p.example.com;lr>;x=1,<sip:us.example.com;lr>')
    assert found.routes == ('"P" <sip:p.example.com;lr>;x=1', "<sip:us.example.com;lr>")
    assert not found.changed


def test_our_route_is_taken_out() -> None:
    found = come(
        "sip:bob@example.com", "<sip:us.example.com;lr>, <sip:p.example.com;lr>", "<sip:q.example.com>"
    )
    assert found.routes == ("<sip:p.example.com;lr>", "<sip:q.example.com>")
    assert found.changed
    assert [str(uri) for uri in found.taken] == ["sip:us.example.com;lr"]


def test_what_we_recorded_doubly_is_taken_out_together() -> None:
    # RFC 5658 5, F5.
    found = come("sip:bob@[2001:db8::33]", "<sip:192.0.2.1:5060;lr>", "<sip:[2001:db8::1];lr>")
    assert found.routes == ()
    assert [uri.host for uri in found.taken] == ["192.0.2.1", "[2001:db8::1]"]


def test_a_strict_router_before_us() -> None:
    routes = ["<sip:us.example.com;lr>", "<sip:p1.example.com;lr>", "<sip:bob@192.0.2.4;x=y?Subject=a>"]
    found = come("sip:token@us.example.com;lr", *routes)
    assert found.uri_text == "sip:bob@192.0.2.4;x=y?Subject=a"
    assert found.routes == ("<sip:p1.example.com;lr>",)
    assert [str(uri) for uri in found.taken] == ["sip:token@us.example.com;lr", "sip:us.example.com;lr"]


def test_a_request_uri_of_ours_without_a_route_stays() -> None:
    assert come("sip:token@us.example.com;lr").uri_text == "sip:token@us.example.com;lr"


def test_a_request_uri_at_our_name_is_not_what_we_recorded() -> None:
    found = come("sip:bob@us.example.com", "<sip:p.example.com;lr>")
    assert found.uri_text == "sip:bob@us.example.com"
    assert found.routes == ("<sip:p.example.com;lr>",)


@pytest.mark.parametrize(
    ("uri", "after"),
    [
        ("sip:bob@example.com;maddr=192.0.2.1", "sip:bob@example.com"),
        (
            "sip:bob@example.com:5060;transport=udp;maddr=192.0.2.1;user=phone",
            "sip:bob@example.com;user=phone",
        ),
        # Another port or transport: it is forwarded to us by that one.
        ("sip:bob@example.com:5070;maddr=192.0.2.1", "sip:bob@example.com:5070;maddr=192.0.2.1"),
        (
            "sip:bob@example.com;maddr=192.0.2.1;transport=tcp",
            "sip:bob@example.com;maddr=192.0.2.1;transport=tcp",
        ),
        ("sip:bob@example.com;maddr=192.0.2.9", "sip:bob@example.com;maddr=192.0.2.9"),
        ("tel:+123", "tel:+123"),
    ],
)
def test_maddr(uri: str, after: str) -> None:
    found = come(uri)
    assert found.uri_text == after
    assert str(found.uri) == after


@pytest.mark.parametrize("route", ["<sip:p.example.com;lr", "<sip:p@@;lr>", ",", "x"])
def test_a_malformed_route(route: str) -> None:
    with pytest.raises(MessageError):
        come("sip:bob@example.com", route)


def test_a_route_that_is_no_sip_uri_is_not_ours() -> None:
    assert come("sip:bob@example.com", "<http://us.example.com;lr>").routes == ("<http://us.example.com;lr>",)


# 16.6.


def on(
    found: Preprocessed, target: str | None = None, path: tuple[str, ...] = ()
) -> tuple[str, list[str], str]:
    one = way(found, found.uri_text if target is None else target, path)
    return one.uri_text, list(one.routes), str(one.next_hop)


def test_without_routes_the_request_uri_is_the_next_hop() -> None:
    assert on(come("sip:bob@example.com"), "sip:bob@192.0.2.4") == (
        "sip:bob@192.0.2.4",
        [],
        "sip:bob@192.0.2.4",
    )


def test_with_a_route_that_is_the_next_hop() -> None:
    found = come("sip:bob@example.com", "<sip:p.example.com;lr>")
    assert on(found) == ("sip:bob@example.com", ["<sip:p.example.com;lr>"], "sip:p.example.com;lr")
    assert not way(found, "sip:bob@example.com").changed


def test_a_path_goes_ahead_of_what_is_there() -> None:
    # RFC 3327 5.4.
    path = ("<sip:p3.home.example;lr>", "<sip:p1.visited.example;lr>")
    found = come("sip:bob@example.com", "<sip:us.example.com;lr>", "<sip:q.example.com;lr>")
    assert on(found, "sip:bob@192.0.2.4", path) == (
        "sip:bob@192.0.2.4",
        [*path, "<sip:q.example.com;lr>"],
        "sip:p3.home.example;lr",
    )


def test_the_next_hop_of_sips_is_sips() -> None:
    found = come("sips:bob@example.com", "<sip:p.example.com;lr>")
    assert on(found)[2] == "sips:p.example.com;lr"  # 16.6 step 7
    assert on(found)[1] == ["<sip:p.example.com;lr>"]


@pytest.mark.parametrize("route", ["<tel:+123;lr>", "<mailto:a@example.com>"])
def test_a_next_hop_that_is_no_sip_uri(route: str) -> None:
    with pytest.raises(MessageError):
        on(come("sip:bob@example.com", route))


def test_a_target_that_is_no_sip_uri() -> None:
    with pytest.raises(MessageError):
        on(come("sip:bob@example.com"), "tel:+123")


@pytest.mark.parametrize(
    ("uri", "after"),
    [
        ("sip:bob@192.0.2.4;transport=udp;x", "sip:bob@192.0.2.4;transport=udp;x"),
        ("sip:bob@192.0.2.4;Method=BYE;x?Subject=a", "sip:bob@192.0.2.4;x"),
        ("sip:bob@192.0.2.4?Subject=a", "sip:bob@192.0.2.4"),
        ("sip:bob?x@192.0.2.4", "sip:bob?x@192.0.2.4"),
        ("tel:+123?a", "tel:+123?a"),
    ],
)
def test_what_a_request_uri_must_not_have_is_taken_off(uri: str, after: str) -> None:
    assert request_uri(uri) == after  # 19.1.1, table 1


# The examples of 16.12.1.


def test_the_trapezoid() -> None:
    p1, p2 = P("p1.example.com"), P("p2.domain.com")
    first = come("sip:callee@u2.domain.com", "<sip:p1.example.com;lr>,<sip:p2.domain.com;lr>", us=p1)
    assert on(first) == ("sip:callee@u2.domain.com", ["<sip:p2.domain.com;lr>"], "sip:p2.domain.com;lr")
    second = come("sip:callee@u2.domain.com", "<sip:p2.domain.com;lr>", us=p2)
    assert on(second) == ("sip:callee@u2.domain.com", [], "sip:callee@u2.domain.com")


def test_a_strict_router_on_the_way() -> None:
    routes = [
        "<sip:p4.domain.com;lr>",
        "<sip:p3.middle.com>",
        "<sip:token@p2.example.com;lr>",
        "<sip:p1.example.com;lr>",
    ]
    at_p4 = come("sip:caller@u1.example.com", *routes, us=P("p4.domain.com"))
    assert on(at_p4) == (
        "sip:p3.middle.com",
        ["<sip:token@p2.example.com;lr>", "<sip:p1.example.com;lr>", "<sip:caller@u1.example.com>"],
        "sip:p3.middle.com",
    )
    # P3 strips parameters from no URI, and sends on to what it found in the first Route.
    routes = ["<sip:p1.example.com;lr>", "<sip:caller@u1.example.com>"]
    at_p2 = come("sip:token@p2.example.com;lr", *routes, us=P("p2.example.com"))
    assert on(at_p2) == ("sip:caller@u1.example.com", ["<sip:p1.example.com;lr>"], "sip:p1.example.com;lr")
    at_p1 = come("sip:caller@u1.example.com", "<sip:p1.example.com;lr>", us=P("p1.example.com"))
    assert on(at_p1) == ("sip:caller@u1.example.com", [], "sip:caller@u1.example.com")
