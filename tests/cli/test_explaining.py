from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.cli.explaining import ASCII, UNICODE, Explainer, local_time, short_time
from sipframe.cli.terminal import cells
from sipframe.decisions import Step
from sipframe.verdicts import Address
from tests.admin.served import decision
from tests.cli.test_terminal import ANY_TEXT

LONG = "third-party registration is not allowed for users of this domain, whoever may ask for it"
REFUSED = decision(
    "call-2",
    peer=Address("2001:db8::7", 5062),
    transport="TLS",
    status=403,
    reason="Forbidden",
    steps=(
        Step("RateLimit.admit", "Admitted", "", 1e-7),
        Step("DigestAuthenticator.authenticate", "Accepted", "bob in realm localhost", 0.000_13),
        Step("Terms.registration", "Rejected", LONG, 0.0123),
    ),
)
SGR = re.compile(r"\x1b\[[\d;]*m")


def test_all_that_is_known() -> None:
    at = local_time(1.5e9)
    assert Explainer(width=None).lines(decision()) == [
        f"{at}  REGISTER sip:bob@localhost  →  401 Unauthorized",
        "  from UDP 192.0.2.7:5062 to sip:localhost, Call-ID call-1, CSeq 2",
        "    RateLimit.admit                   Admitted    12 µs",
        "  ▶ DigestAuthenticator.authenticate  Challenge  184 µs  wrong digest",
    ]
    assert re.fullmatch(r"2017-07-1[345] \d\d:\d\d:00\.000", at)


def test_reasons_are_wrapped_beside_the_columns() -> None:
    lines = Explainer(width=100).lines(REFUSED)
    assert lines[1] == "  from TLS [2001:db8::7]:5062 to sip:localhost, Call-ID call-2, CSeq 2"
    column = lines[3].index("bob in realm")
    assert lines[4].index("third-party") == column
    assert [line[:column].strip() for line in lines[5:]] == ["", ""]
    assert " ".join(line[column:].strip() for line in lines[4:]) == LONG


def test_without_a_terminal_a_step_is_a_line() -> None:
    lines = Explainer(width=None).lines(REFUSED)
    assert len(lines) == 5
    assert lines[-1].endswith(LONG)


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_is_wider_than_the_terminal(width: int, glyphs: object) -> None:
    explainer = Explainer(width=width, glyphs=ASCII if glyphs is ASCII else UNICODE)
    lines = explainer.lines(REFUSED)
    assert "".join("".join(lines).split()).count("third-party") == 1
    assert all(cells(line) <= max(width, 10) for line in lines)


def test_colours_repeat_what_the_words_say() -> None:
    plain = Explainer(width=100).lines(REFUSED)
    coloured = Explainer(width=100, colour=True).lines(REFUSED)
    assert [SGR.sub("", line).rstrip(" ") for line in coloured] == plain
    assert "\x1b[1;31m403 Forbidden\x1b[m" in coloured[0]
    assert "\x1b[32mAdmitted" in coloured[2]
    assert "\x1b[31mRejected" in coloured[4]
    assert "\x1b[1;32m200" in Explainer(width=None, colour=True).lines(decision(status=200))[0]
    asked = decision(steps=(Step("A.authenticate", "Challenge", "no credentials", 0.0),))
    assert "\x1b[1;33m401" in Explainer(width=None, colour=True).lines(asked)[0]


def test_nothing_was_asked() -> None:
    assert (
        Explainer(width=None)
        .lines(decision(steps=(), aor=""))[0]
        .endswith("REGISTER sip:localhost  →  401 Unauthorized")
    )
    assert Explainer(width=None).lines(decision(steps=()))[2:] == ["    no step was recorded"]


def test_without_unicode() -> None:
    lines = Explainer(width=None, glyphs=ASCII).lines(decision("é", reason="Grüße"))
    assert "".join(lines).isascii()
    assert lines[0].endswith("->  401 Gr\\xfc\\xdfe")
    assert lines[-1].startswith("  > ")
    assert "184 us" in lines[-1]


def test_rules_take_no_time_and_some_answers_have_no_uri() -> None:
    rule = decision(uri="", steps=(Step("RFC 3261 8.2.1", "Rejected", "INVITE is not served", 0.0),))
    _, where, step = Explainer(width=None).lines(rule)
    assert where == "  from UDP 192.0.2.7:5062, Call-ID call-1, CSeq 2"
    assert step == "  ▶ RFC 3261 8.2.1  Rejected    INVITE is not served"


def test_names_that_a_peer_chose_do_not_flood_the_screen() -> None:
    lines = Explainer(width=None).lines(decision("x" * 30_000, uri="sip:" + "y" * 30_000))
    assert max(map(len, lines)) < 600
    assert "…, CSeq 2" in lines[1]


@given(ANY_TEXT, st.booleans(), st.one_of(st.none(), st.integers(1, 120)))
def test_nothing_acts_on_the_terminal(text: str, colour: bool, width: int | None) -> None:
    hostile = decision(
        text,
        method=text,
        uri=text,
        aor=text,
        transport=text,
        reason=text,
        steps=(Step(text, text, text, 0.0), Step(text, text, text, 0.0)),
    )
    for glyphs in (UNICODE, ASCII):
        for line in Explainer(width=width, colour=colour, glyphs=glyphs).lines(hostile):
            assert SGR.sub("", line).isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "<1 µs"),
        (0.000_000_9, "<1 µs"),
        (0.000_012, "12 µs"),
        (0.000_999_4, "999 µs"),
        (0.001, "1.0 ms"),
        (0.0123, "12.3 ms"),
        (1.0, "1.00 s"),
        (5.0012, "5.00 s"),
    ],
)
def test_times(seconds: float, text: str) -> None:
    assert short_time(seconds) == text
