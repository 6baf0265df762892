"""What is wrong with a command line is said before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from sipframe.cli.main import main


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["tel:+1"],
        ["sip:localhost"],
        ["bob@"],
        ["bob@localhost", "--server", "localhost"],
        ["bob@localhost", "--server", "sctp:localhost"],
        ["bob@localhost", "--contact", "nowhere"],
        ["bob@localhost", "--contact", "<sip:bob@h"],
        ["bob@localhost", "--expires", "-1"],
        ["bob@localhost", "--expires", "4294967296"],
        ["bob@localhost", "--timeout", "0"],
        ["bob@localhost", "--timeout", "nan"],
        ["bob@localhost", "--fetch", "--remove-all"],
        ["bob@localhost", "--remove"],
        ["bob@localhost", "--fetch", "--contact", "sip:bob@h"],
        ["bob@localhost", "--remove-all", "--contact", "sip:bob@h"],
        ["bob@localhost", "--insecure"],
        ["bob@localhost", "--server", "tcp:localhost", "--ca-file", "x"],
        ["sips:bob@localhost", "--server", "tcp:localhost"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["register", *arguments])
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("sipframe register: error: ")


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    none = tmp_path / "none"
    empty = tmp_path / "empty"
    empty.touch()
    tls = ["register", "bob@localhost", "--server", "tls:localhost"]
    assert main(["register", "bob@localhost", "--password-file", str(none)]) == 1
    assert main([*tls, "--ca-file", str(none)]) == 1
    assert main([*tls, "--ca-file", str(empty)]) == 1
    assert capsys.readouterr().err == (
        f"sipframe: {none}: No such file or directory\n"
        f"sipframe: {none}: No such file or directory\n"
        f"sipframe: {empty}: there is no PEM certificate in it\n"
    )
