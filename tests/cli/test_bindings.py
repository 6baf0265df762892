"""``sipframe bindings`` on a real database, beside a store that serves from it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipframe.cli.main import main
from sipframe.location import SQLiteStore
from sipframe.verdicts import Binding
from tests.location.calls import Calls

CALL = "call\x1b[31m-1"


def binding(contact: str, left: float, **fields: object) -> Binding:
    now = time.time()
    return Binding(contact, now + left, CALL, 7, now)._replace(**fields)  # type: ignore[arg-type]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory whose store is being served from."""
    calls = Calls()
    store = SQLiteStore(str(tmp_path / "location.sqlite"), calls)
    store.start(time.time())
    bobs = (
        binding("sip:bob@192.0.2.4", 3600, flow="UDP 192.0.2.1:5060 192.0.2.4:5060 3", q="0.5"),
        binding("sip:bob@192.0.2.5;transport=tcp", 1e9),
        binding("sip:gone@192.0.2.6", -1),
    )
    for aor, bindings in (("sip:bob@example.com", bobs), ("sip:amy@example.com", bobs[:1])):
        done = store.replace(aor, bindings, 0)
        assert not isinstance(done, bool)
        assert calls.result(done) is True
    yield tmp_path
    calls.result(store.close())


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    assert main(["bindings", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def test_all_bindings_as_a_table(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heading, *rows = said(capsys, "--state", state)
    assert re.split(r" {2,}", heading) == ["AOR", "CONTACT", "EXPIRES IN", "CALL-ID/CSEQ", "FLOW"]
    found = [re.split(r" {2,}", row) for row in rows]
    assert [row[:2] for row in found] == [
        ["sip:amy@example.com", "sip:bob@192.0.2.4"],
        ["sip:bob@example.com", "sip:bob@192.0.2.4"],
        ["sip:bob@example.com", "sip:bob@192.0.2.5;transport=tcp"],
    ]
    assert re.fullmatch(r"59m \d\ds", found[0][2])
    assert found[0][3:] == ["call\\x1b[31m-1/7", "UDP 192.0.2.1:5060 192.0.2.4:5060 3"]
    assert found[2][4] == "-"
    assert len({row.index("call") for row in rows}) == 1


@pytest.mark.parametrize("aor", ["bob@example.com", "sip:bob@EXAMPLE.com", "sips:bob@example.com:5061;x=y"])
def test_the_bindings_of_one_aor(aor: str, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, *rows = said(capsys, aor, "--state", state)
    assert len(rows) == 2


def test_nobody_is_there(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "eve@example.com", "--state", state) == ["No bindings of sip:eve@example.com."]
    assert said(capsys, "eve@example.com", "--state", state, "--json") == []


def test_as_json_with_all_that_is_stored(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "sip:bob@example.com", "--location", state / "location.sqlite", "--json")
    first, _ = [json.loads(line) for line in lines]
    assert first.pop("expires_in") == pytest.approx(first["expires_at"] - time.time(), abs=60)
    assert set(first) == {"aor", *Binding._fields}
    assert (first["aor"], first["contact"], first["call_id"], first["q"]) == (
        "sip:bob@example.com",
        "sip:bob@192.0.2.4",
        CALL,
        "0.5",
    )
    assert "\x1b" not in "".join(lines)


def test_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bindings", "--state", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"sipframe: {tmp_path}/location.sqlite: there is no such file\n"


@pytest.mark.parametrize("aor", ["tel:+1", "sip:", "sip:bob@@x"])
def test_no_aor(aor: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bindings", aor])
    assert caught.value.code == 2
