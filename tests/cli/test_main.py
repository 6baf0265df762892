from __future__ import annotations

import pytest

from sipframe import __version__
from sipframe.cli.main import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"sipframe {__version__}\n"


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["user"], ["user", "add"], ["user", "list", "--nonsense"]]
)
def test_a_wrong_command_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: sipframe" in capsys.readouterr().err
