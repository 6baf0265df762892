from __future__ import annotations

from pathlib import Path

from sipframe.cli.state import default_state_directory, make_state_directory


def test_where_state_is_kept() -> None:
    assert default_state_directory({"XDG_STATE_HOME": "/var/state"}) == Path("/var/state/sipframe")
    usual = Path.home() / ".local" / "state" / "sipframe"
    assert default_state_directory({}) == usual
    assert default_state_directory({"XDG_STATE_HOME": "relative"}) == usual


def test_a_new_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    make_state_directory(path)
    assert path.stat().st_mode & 0o777 == 0o700
    path.chmod(0o750)
    make_state_directory(path)
    assert path.stat().st_mode & 0o777 == 0o750
