"""What a trace shows and saves, with messages that a test makes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipframe.cli import tracing
from sipframe.cli.command import CommandError
from sipframe.cli.sights import Sight, Sights
from sipframe.cli.terminal import cells
from sipframe.cli.tracing import CaptureFile, Drawing, Lines, PictureFile, time_of_day
from sipframe.tracing import Traced
from sipframe.tracing.pcap import FILE_HEADER
from sipframe.verdicts import Address
from tests.cli.test_picture import ALICE, BOB, CALL, SERVER, message
from tests.tracing.test_pcap import read

AT = time_of_day(1.0)


def sights(*messages: Traced) -> list[Sight]:
    see = Sights().see
    return [see(one) for one in messages]


def drawn(*messages: Traced, columns: int = 90, encoding: str = "utf-8", **options: bool) -> list[str]:
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    drawing = Drawing(screen, {}, columns=lambda: columns, **options)
    for sight in sights(*messages):
        drawing.take(sight)
    drawing.end()
    drawing.end()
    screen.seek(0)
    return screen.read().splitlines()


def test_a_call_as_it_passes() -> None:
    expected = """
              alice              server
       192.0.2.10:5060 UDP   192.0.2.1:5060
                │                   │
 00:00:01.000   │ INVITE sip:bob@b  │  Call-ID 1
      +0.0 ms   ├──────────────────▶│
                │                   │
                ┴                   ┴

              alice                    server                      bob
       192.0.2.10:5060 UDP         192.0.2.1:5060          192.0.2.20:5060 UDP
                │                         │                         │
 00:00:01.000   │                         │ INVITE                  │
      +0.0 ms   │                         ├────────────────────────▶│
                │                         │                         │
 00:00:01.000   │                         │ 200 OK           CSeq 1 │
      +0.0 ms   │                         │◀────────────────────────┤
                │                         │                         │
 00:00:01.000   │ 200 OK           CSeq 1 │                         │
      +0.0 ms   │◀────────────────────────┤                         │
                │                         │                         │
                ┴                         ┴                         ┴"""
    assert "\n".join(drawn(*CALL[:4], columns=80)) == expected.replace("00:00:01.000", AT)


def test_no_message_draws_nothing() -> None:
    assert drawn() == []


def test_heads_and_bodies_are_shown_when_asked_for() -> None:
    one = message("MESSAGE sip:bob@b SIP/2.0", False, ALICE, "Content-Type: text/plain")
    one = one._replace(octets=one.octets + b"hello\r\nthere")
    plain, verbose = "\n".join(drawn(one)), "\n".join(drawn(one, verbose=True))
    bodies, everything = "\n".join(drawn(one, bodies=True)), "\n".join(drawn(one, bodies=True, verbose=True))
    assert "text/plain, 12 octets" in plain
    assert [
        ("CSeq: 1" in text, "hello" in text, "there" in text) for text in (plain, verbose, bodies, everything)
    ] == [
        (False, False, False),
        (True, False, False),
        (False, True, True),
        (True, True, True),
    ]


@given(
    st.binary(max_size=80),
    st.integers(20, 140),
    st.sampled_from(["utf-8", "ascii"]),
    st.booleans(),
)
def test_nothing_that_passes_moves_the_terminal(
    octets: bytes, columns: int, encoding: str, shown: bool
) -> None:
    hostile = (
        b"OPTIONS sip:b SIP/2.0\r\nFrom: <sip:" + octets + b"@b>\r\nCall-ID: " + octets + b"\r\n\r\n" + octets
    )
    peers = [ALICE, BOB, Address("2001:db8::" + "a" * 4, 9)]
    messages = [
        Traced(1.0, sent, "TCP", SERVER, peer, each)
        for peer in peers
        for sent in (True, False)
        for each in (octets, hostile)
    ]
    for line in drawn(*messages, columns=columns, encoding=encoding, verbose=shown, bodies=shown):
        assert line.isprintable()
        assert cells(line) <= max(40, columns)


def test_colours_on_a_terminal_only() -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    for environ, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        screen: Any = Terminal()
        drawing = Drawing(screen, environ)
        drawing.take(sights(CALL[0])[0])
        assert ("\x1b[" in screen.getvalue()) is coloured


def test_json() -> None:
    screen = io.StringIO()
    lines = Lines(screen)
    for sight in sights(*CALL[:2]):
        lines.take(sight)
    lines.missed(1)
    lines.end()
    first, second = map(json.loads, screen.getvalue().splitlines())
    assert first == {
        "at": 1.0,
        "sent": False,
        "transport": "UDP",
        "local": {"host": "192.0.2.1", "port": 5060},
        "peer": {"host": "192.0.2.10", "port": 5060},
        "message": CALL[0].octets.decode(),
    }
    assert second["sent"]


def test_a_capture_is_whole_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "calls.pcap"
    capture = CaptureFile(path)
    assert path.read_bytes() == FILE_HEADER
    for number, sight in enumerate(sights(*CALL), 1):
        capture.take(sight)
        assert len(read(path.read_bytes().removeprefix(FILE_HEADER))) == number
    capture.missed(1)
    capture.end()


def test_a_picture_takes_the_place_of_another_one_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "MOST_DRAWN", 3)
    path = tmp_path / "call.svg"
    path.write_text("before")
    picture = PictureFile(path, "Calls")
    for sight in sights(*CALL):
        picture.take(sight)
    picture.missed(4)
    assert path.read_text() == "before"
    picture.end()
    text = path.read_text()
    assert text.count("<g ") == 3
    assert "6 more messages are not drawn." in text
    assert re.search(r">Calls, 19(69|70)-", text)
    assert [one.name for one in tmp_path.iterdir()] == ["call.svg"]


def test_no_message_makes_no_picture(tmp_path: Path) -> None:
    PictureFile(tmp_path / "call.svg", "Calls").end()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [CaptureFile, lambda path: PictureFile(path, "Calls")])
def test_a_file_that_cannot_be_written(tmp_path: Path, make: Any) -> None:
    with pytest.raises(CommandError, match=r"gone/file: no such file or directory") as caught:
        make(tmp_path / "gone" / "file")
    assert caught.value.code == 2
