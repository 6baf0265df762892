from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.cli.ladder import ASCII, UNICODE, Arrow, Glyphs, Kind, Ladder, Participant
from sipframe.cli.terminal import cells
from tests.cli.test_terminal import ANY_TEXT

SGR = re.compile("\x1b\\[[0-9]*m")

REGISTRATION = (
    Arrow(0.0021, 0, 1, "TLS 1.3", "", ("certificate of localhost",), Kind.CONNECTION),
    Arrow(
        0.0032, 0, 1, "REGISTER sip:localhost", "CSeq 1", ("Contact sip:demo@127.0.0.1:40312;transport=tcp",)
    ),
    Arrow(
        0.0061,
        1,
        0,
        "401 Unauthorized",
        "CSeq 1",
        ('realm "localhost"', "offers MD5, SHA-256"),
        Kind.CHALLENGE,
    ),
    Arrow(0.5, 0, 1, "REGISTER sip:localhost", "CSeq 1", ("again",), Kind.AGAIN),
    Arrow(31.5, 1, 0, "200 OK", "CSeq 2", (), Kind.SUCCESS),
)


def drawn(
    arrows: tuple[Arrow, ...],
    width: int,
    *,
    participants: tuple[Participant, ...] = (
        Participant("UA", "127.0.0.1:40312"),
        Participant("server", "127.0.0.1:5061 TLS"),
    ),
    glyphs: Glyphs = UNICODE,
    colour: bool = False,
) -> list[str]:
    ladder = Ladder(participants, width=width, glyphs=glyphs, colour=colour)
    lines = ladder.header()
    for arrow in arrows:
        lines += ladder.arrow(arrow)
    return lines + ladder.footer()


def test_a_registration_at_80_columns() -> None:
    assert (
        "\n".join(drawn(REGISTRATION, 80))
        == """\
           UA                            server
     127.0.0.1:40312               127.0.0.1:5061 TLS
            │                               │
   2.1 ms   │ TLS 1.3                       │  certificate of localhost
            │◀═════════════════════════════▶│
            │                               │
   3.2 ms   │ REGISTER sip:localhost CSeq 1 │  Contact sip:demo@127.0.0.1:40312
            ├──────────────────────────────▶│    ;transport=tcp
            │                               │
   6.1 ms   │ 401 Unauthorized       CSeq 1 │  realm "localhost"
            │◀──────────────────────────────┤  offers MD5, SHA-256
            │                               │
 500.0 ms   │ REGISTER sip:localhost CSeq 1 │  again
            ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▶│
            │                               │
 31500 ms   │ 200 OK                 CSeq 2 │
            │◀──────────────────────────────┤
            │                               │
            ┴                               ┴"""
    )


def test_without_room_beside_the_arrows_the_notes_stand_under_them() -> None:
    assert (
        "\n".join(drawn(REGISTRATION[1:3], 50))
        == """\
           UA                               server
     127.0.0.1:40312            127.0.0.1:5061 TLS
            │                                    │
   3.2 ms   │ REGISTER sip:localhost      CSeq 1 │
            ├───────────────────────────────────▶│
            │ Contact sip:demo@127.0.0.1:40312   │
            │   ;transport=tcp                   │
            │                                    │
   6.1 ms   │ 401 Unauthorized            CSeq 1 │
            │◀───────────────────────────────────┤
            │ realm "localhost"                  │
            │ offers MD5, SHA-256                │
            │                                    │
            ┴                                    ┴"""
    )


def test_three_participants_in_ascii() -> None:
    three = (Participant("alice"), Participant("proxy"), Participant("bob"))
    arrows = (
        Arrow(0, 0, 1, "INVITE sip:bob@example.com", "CSeq 1"),
        Arrow(0.001, 1, 2, "INVITE sip:bob@192.0.2.3", "CSeq 1"),
        Arrow(0.1, 2, 0, "200 OK é", "CSeq 1", ("déjà",), Kind.SUCCESS),
    )
    assert (
        "\n".join(drawn(arrows, 80, participants=three, glyphs=ASCII))
        == """\
          alice                            proxy                             bob
            |                                |                                |
   0.0 ms   | INVITE sip:bob@example.com     |                                |
            |------------------------------->|                                |
            |                                |                                |
   1.0 ms   |                                | INVITE sip:bob@192.0.2.3       |
            |                                |------------------------------->|
            |                                |                                |
 100.0 ms   | 200 OK \\xe9                    |                         CSeq 1 |
            |<-------------------------------+--------------------------------|
            | d\\xe9j\\xe0                     |                                |
            |                                |                                |
            +                                +                                +"""
    )


def test_colours_change_nothing_else() -> None:
    coloured = drawn(REGISTRATION, 90, colour=True)
    assert coloured != drawn(REGISTRATION, 90)
    assert [SGR.sub("", line) for line in coloured] == drawn(REGISTRATION, 90)
    assert all(line.count("\x1b[0m") * 2 == len(SGR.findall(line)) for line in coloured)


def test_a_remark_and_a_message_to_oneself() -> None:
    ladder = Ladder((Participant("a"), Participant("b")), width=80)
    assert ladder.remark(32.0, "no answer", "gave up")[0].split() == [
        "32000",
        "ms",
        "│",
        "no",
        "answer",
        "│",
        "gave",
        "up",
    ]
    assert ladder.arrow(Arrow(1, 1, 1, "to myself")) == ladder.remark(1, "to myself")


def test_whole_messages_are_indented_and_cut_but_not_shortened() -> None:
    ladder = Ladder((Participant("a"), Participant("b")), width=60)
    text = "Authorization: Digest " + ", ".join(f'p{number}="{number}"' for number in range(20))
    lines = ladder.verbatim([text])
    assert len(lines) > 2
    assert "".join(line[14:] for line in lines[:-1]).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("participants", [0, 1])
def test_a_ladder_has_two_sides(participants: int) -> None:
    with pytest.raises(ValueError, match="two"):
        Ladder((Participant("a"),) * participants, width=80)


def test_a_ladder_needs_room_for_its_life_lines() -> None:
    with pytest.raises(ValueError, match="no room"):
        Ladder((Participant("a"),) * 9, width=20)


@st.composite
def ladders(draw: st.DrawFn) -> tuple[int, list[str]]:
    """Any ladder, with its width."""
    width = draw(st.integers(16, 160))
    participants = [Participant(*draw(st.tuples(ANY_TEXT, ANY_TEXT))) for _ in range(draw(st.integers(2, 4)))]
    ladder = Ladder(
        participants,
        width=width,
        glyphs=draw(st.sampled_from([UNICODE, ASCII])),
        colour=draw(st.booleans()),
    )
    ends = st.integers(0, len(participants) - 1)
    arrows = st.builds(
        Arrow,
        time=st.floats(0, 10**6),
        source=ends,
        target=ends,
        label=ANY_TEXT,
        aside=ANY_TEXT,
        notes=st.lists(ANY_TEXT, max_size=4).map(tuple),
        kind=st.sampled_from(Kind),
    )
    lines = ladder.header()
    for arrow in draw(st.lists(arrows, max_size=3)):
        lines += ladder.arrow(arrow)
    lines += ladder.verbatim(draw(st.lists(ANY_TEXT, max_size=2)))
    lines += ladder.remark(draw(st.floats(0, 10**6)), draw(ANY_TEXT), draw(ANY_TEXT))
    return width, lines + ladder.footer()


@given(ladders())
def test_no_line_is_too_wide_and_nothing_in_it_moves_the_terminal(drawn: tuple[int, list[str]]) -> None:
    width, lines = drawn
    for line in lines:
        plain = SGR.sub("", line)
        assert plain.isprintable()
        assert cells(plain) <= width
