"""The command line of ``sipframe check``, and what it prints of reports."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from sipframe.checking import CHECKS, Report, chosen
from sipframe.cli.check_report import Reporter
from sipframe.cli.main import main
from tests.checking.broken import Trusting
from tests.checking.toy import StreamToy, checked


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The last line of a usage error."""
    with pytest.raises(SystemExit) as raised:
        main(["check", *arguments])
    assert raised.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("sipframe check: error: ")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [one.id for one in CHECKS]
    assert any(line.endswith("(TCP, TLS only)") for line in lines)


def test_list_of_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list", "--only", "flow"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(chosen(["flow"]))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "HOST[:PORT] is missing"),
        (("host",), "--user is missing: a user whose bindings may be made and removed"),
        (("host", "--user=a", "--only=x"), "there is no check 'x'; --list tells them all"),
        (("host:x", "--user=a"), "'x' is no port"),
        (
            ("host", "--user=a", "--insecure"),
            "--ca-file, --insecure and --tls-port are for TLS: use --transport tls or all",
        ),
        (("host", "--user=a", "--second-user=b"), "--second-user and --second-password-file go together"),
        (("host", "--user=a", "--timeout=0"), "argument --timeout: '0' is no number of seconds up to 600"),
        (("host", "--user=a", "--aor=x"), "argument --aor: 'x' is not sip:NAME@DOMAIN"),
        (("host", "--user=a"), "--password-file is missing, and there is no terminal to ask for a password"),
    ],
)
def test_usage(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    reason: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    told = refused(capsys, *arguments)
    assert told == reason or told.endswith(reason)


def test_a_sips_aor_needs_tls(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret", encoding="ascii")
    told = refused(
        capsys, "host", "--user=a", "--aor=sips:a@host", f"--password-file={tmp_path / 'password'}"
    )
    assert told == "a sips: AOR is registered by TLS only: use --transport tls"


def test_a_password_file_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert main(["check", "host", "--user=a", f"--password-file={path}"]) == 1
    assert capsys.readouterr().err == f"sipframe: {path}: No such file or directory\n"


class Screen(io.TextIOWrapper):
    """A file in an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")

    @property
    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


def reports() -> list[Report]:
    checks = chosen(["flow.refused", "stream.ping", "digest.sha-256"])
    return [checked(Trusting(), checks), checked(StreamToy(), checks, "TCP")]


def test_table() -> None:
    out = Screen("utf-8")
    Reporter(out, io.StringIO(), 100, {}).table("somewhere", reports())
    head, _, rest = out.text.partition("\nflow.refused over UDP")
    assert head.splitlines() == [
        "",
        "somewhere",
        "",
        "check           level  UDP TCP  what",
        "flow.refused    MUST    ✘   ✔   a wrong password is answered 200 OK, not 401 or 403",
        "digest.sha-256  MUST    ·   ·   SHA-256 is not offered",
        "stream.ping     SHOULD      ✔   CRLFCRLF between requests is answered by CRLF.",
        "",
        "UDP: 0 of 2 points (MUST 0 of 1, SHOULD 0 of 0, 1 skipped): does not conform",
        "TCP: 3 of 3 points (MUST 1 of 1, SHOULD 1 of 1, 1 skipped): conforms",
    ]
    assert "  A wrong password is refused, and binds nothing.\n" in rest
    assert "  But a wrong password is answered 200 OK, not 401 or 403.\n" in rest
    assert rest.count("REGISTER sip:example.com") == 2
    assert "response=" not in rest


def test_table_in_ascii_and_in_colour() -> None:
    out = Screen("ascii")
    Reporter(out, io.StringIO(), 100, {}).table("somewhere", reports())
    assert "flow.refused    MUST    X   + " in out.text
    assert out.text.isascii()

    class Terminal(Screen):
        def isatty(self) -> bool:
            return True

    coloured = Terminal("utf-8")
    Reporter(coloured, io.StringIO(), 100, {"TERM": "xterm"}).table("somewhere", reports())
    assert "\x1b[31m✘\x1b[0m" in coloured.text


def test_whole_messages_without_digests() -> None:
    out = Screen("utf-8")
    Reporter(out, io.StringIO(), 100, {}, verbose=True).table("somewhere", reports())
    assert "Max-Forwards: 70" in out.text
    assert "response=(not shown)" in out.text


def test_json() -> None:
    out = Screen("utf-8")
    Reporter(out, io.StringIO(), 100, {}).json("somewhere", reports())
    found = json.loads(out.text)
    assert found["server"] == "somewhere"
    assert [(one["transport"], one["conforms"], one["points"]) for one in found["transports"]] == [
        ("UDP", False, 0),
        ("TCP", True, 3),
    ]
    assert found["transports"][0]["checks"][0]["outcome"] == "failed"
