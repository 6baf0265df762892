from __future__ import annotations

import pytest

from sipframe.auth.digest import ALGORITHMS, ha1, rspauth
from sipframe.message import MessageError, NameAddr
from sipframe.ua import Action, Contact, Finished, Verdict
from tests.ua.script import CONTACT, MD5, SHA256, answer, challenge, read, registration


def finished(step: object) -> Finished:
    assert isinstance(step, Finished)
    return step


def test_the_first_request() -> None:
    request = read(registration(expires=600).first())
    assert (request.method, request.uri_text) == ("REGISTER", "sip:example.com")
    assert request.via.transport == "TCP"
    assert (request.via.sent_by, request.via.rport) == (("192.0.2.4", 5062), "")
    assert request.max_forwards == 70
    assert str(request.to) == "<sip:bob@example.com>"
    assert request.from_.uri_text == "sip:bob@example.com"
    assert request.from_.tag
    assert request.cseq == (1, "REGISTER")
    assert request.all("contact") == ["<sip:bob@192.0.2.4:5062>"]
    assert request.expires == 600
    assert request.all("authorization") == []


def test_a_sips_aor_and_a_port_stay_in_the_request_uri() -> None:
    assert read(registration("sips:bob@example.com:5099").first()).uri_text == "sips:example.com:5099"


@pytest.mark.parametrize(
    ("action", "contacts", "expires"),
    [
        (Action.BIND, ["<sip:bob@192.0.2.4:5062>"], "900"),
        (Action.FETCH, [], None),
        (Action.REMOVE, ["<sip:bob@192.0.2.4:5062>;expires=0"], None),
        (Action.REMOVE_ALL, ["*"], "0"),
    ],
)
def test_what_each_action_asks_for(action: Action, contacts: list[str], expires: str | None) -> None:
    request = read(registration(action=action, expires=900).first())
    assert (request.all("contact"), request.first("expires")) == (contacts, expires)


def test_accepted_at_once() -> None:
    flow = registration()
    end = finished(
        flow.received(answer(flow.first(), 200, "Contact: <sip:bob@192.0.2.4>;expires=60, <tel:+1>"))
    )
    assert end.accepted
    assert end.bindings == (
        NameAddr("", "sip:bob@192.0.2.4", (("expires", "60"),)),
        NameAddr("", "tel:+1", ()),
    )
    assert end.server_proved is None


def test_an_answer_without_contacts_lists_no_binding() -> None:
    flow = registration(action=Action.FETCH)
    assert finished(flow.received(answer(flow.first(), 200))).bindings == ()


def test_an_unreadable_list_of_bindings_is_still_a_200() -> None:
    flow = registration()
    end = finished(flow.received(answer(flow.first(), 200, "Contact: <sip:bob")))
    assert end.accepted
    with pytest.raises(MessageError):
        _ = end.bindings


def test_the_challenge_is_answered_with_the_next_cseq_in_the_same_call() -> None:
    flow = registration()
    first = flow.first()
    second = read(flow.received(challenge(first, MD5, SHA256)))
    before = read(first)
    assert (second.call_id, second.from_.tag) == (before.call_id, before.from_.tag)
    assert second.cseq == (2, "REGISTER")
    assert second.via.branch != before.via.branch
    assert second.all("contact") == before.all("contact")
    (credentials,) = second.credentials
    assert credentials.params["algorithm"] == "SHA-256"
    assert (credentials.params["username"], credentials.params["uri"]) == ("bob", "sip:example.com")
    assert "zanzibar" not in credentials.raw


def test_a_wrong_password_ends_with_the_second_challenge() -> None:
    flow = registration()
    second = flow.received(challenge(flow.first(), MD5))
    end = finished(flow.received(challenge(second, MD5.replace("n1", "n9"))))
    assert (end.accepted, end.verdict) == (False, Verdict.WRONG_CREDENTIALS)


def test_a_stale_nonce_is_believed_once() -> None:
    flow = registration()
    stale = MD5.replace("n1", "n2") + ", stale=TRUE"
    second = flow.received(challenge(flow.first(), MD5))
    third = flow.received(challenge(second, stale))
    assert read(third).credentials[0].params["nonce"] == "n2"
    assert read(third).credentials[0].params["nc"] == "00000001"
    assert finished(flow.received(challenge(third, stale))).verdict is Verdict.WRONG_CREDENTIALS


def test_without_a_password_a_challenge_ends_it() -> None:
    flow = registration(password=None)
    assert finished(flow.received(challenge(flow.first(), MD5))).verdict is Verdict.NO_PASSWORD


@pytest.mark.parametrize(
    "value", ['Basic realm="x"', "Digest realm", 'Digest realm="x", nonce="n", algorithm=SHA-3']
)
def test_a_challenge_that_cannot_be_answered_ends_it(value: str) -> None:
    flow = registration()
    assert finished(flow.received(challenge(flow.first(), value))).verdict is Verdict.NO_USABLE_CHALLENGE


def test_a_401_without_any_challenge_ends_it() -> None:
    flow = registration()
    assert finished(flow.received(answer(flow.first(), 401))).verdict is Verdict.NO_USABLE_CHALLENGE


def test_a_proxy_and_the_registrar_each_get_their_credentials() -> None:
    flow = registration()
    second = flow.received(challenge(flow.first(), MD5.replace("example.com", "proxy"), status=407))
    third = read(flow.received(challenge(second, MD5)))
    (to_proxy,), (to_registrar,) = third.proxy_credentials, third.credentials
    assert (to_proxy.params["realm"], to_proxy.params["nc"]) == ("proxy", "00000002")
    assert (to_registrar.params["realm"], to_registrar.params["nc"]) == ("example.com", "00000001")


def test_an_interval_that_is_too_brief_is_lengthened_with_the_same_nonce() -> None:
    flow = registration(
        expires=5, contacts=(CONTACT, Contact("<sip:b@192.0.2.5>", 7), Contact("<sip:c@192.0.2.6>", 99))
    )
    second = flow.received(challenge(flow.first(), MD5))
    third = read(flow.received(answer(second, 423, "Min-Expires: 60")))
    assert third.expires == 60
    assert third.all("contact") == [
        "<sip:bob@192.0.2.4:5062>",
        "<sip:b@192.0.2.5>;expires=60",
        "<sip:c@192.0.2.6>;expires=99",
    ]
    assert third.credentials[0].params["nc"] == "00000002"


def test_a_server_may_challenge_anew_after_it_went_on() -> None:
    flow = registration(expires=5)
    second = flow.received(challenge(flow.first(), MD5))
    third = flow.received(answer(second, 423, "Min-Expires: 60"))
    fourth = flow.received(challenge(third, MD5.replace("n1", "n2")))
    assert read(fourth).credentials[0].params["nonce"] == "n2"
    assert finished(flow.received(challenge(fourth, MD5))).verdict is Verdict.WRONG_CREDENTIALS


def test_it_is_lengthened_once() -> None:
    flow = registration(expires=5)
    second = flow.received(answer(flow.first(), 423, "Min-Expires: 60"))
    assert finished(flow.received(answer(second, 423, "Min-Expires: 600"))).verdict is Verdict.TOO_BRIEF


@pytest.mark.parametrize("fields", [(), ("Min-Expires: soon",)])
def test_a_423_that_names_no_interval_is_a_refusal(fields: tuple[str, ...]) -> None:
    flow = registration(expires=5)
    assert finished(flow.received(answer(flow.first(), 423, *fields))).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (302, Verdict.REDIRECTED),
        (403, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (503, Verdict.REFUSED),
        (603, Verdict.REFUSED),
    ],
)
def test_everything_else_ends_it(status: int, verdict: Verdict) -> None:
    flow = registration()
    end = finished(flow.received(answer(flow.first(), status, "Contact: <sip:elsewhere.example.com>")))
    assert (end.accepted, end.verdict) == (False, verdict)


def test_a_server_that_never_comes_to_an_end() -> None:
    flow = registration(most_requests=4)
    step: object = flow.first()
    requests = 0
    while not isinstance(step, Finished):
        requests += 1
        realm = f'Digest realm="{requests}", nonce="n", qop="auth"'
        step = flow.received(challenge(step, realm))
    assert (requests, step.verdict) == (4, Verdict.TOO_MANY_REQUESTS)


@pytest.mark.parametrize("right", [True, False])
def test_the_server_proves_that_it_knows_the_password(right: bool) -> None:
    flow = registration()
    second = read(flow.received(challenge(flow.first(), SHA256)))
    cnonce = second.credentials[0].params["cnonce"]
    algorithm = ALGORITHMS["SHA-256"]
    key = ha1(algorithm, "bob", "example.com", "zanzibar" if right else "other")
    proof = rspauth(algorithm, key, "sip:example.com", "n2", "00000001", cnonce, "auth")
    info = f'Authentication-Info: rspauth="{proof}", qop=auth, nc=00000001, cnonce="{cnonce}"'
    assert finished(flow.received(answer(second, 200, info))).server_proved is right


def test_an_unreadable_proof_is_none() -> None:
    flow = registration()
    second = flow.received(challenge(flow.first(), SHA256))
    assert finished(flow.received(answer(second, 200, "Authentication-Info: ="))).server_proved is None
