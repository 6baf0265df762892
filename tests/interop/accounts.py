"""Many accounts at once, by the command that an operator has for it."""

from __future__ import annotations

from pathlib import Path

from tests.process import run, sipframe

__all__ = ["import_accounts"]


def import_accounts(state: Path, passwords: dict[str, str], domain: str = "localhost") -> None:
    """``sipframe user import``: the password of each name in ``domain``."""
    listed = state.with_name("accounts.txt")
    lines = [f"{name}@{domain} {password}\n" for name, password in passwords.items()]
    listed.write_text("".join(lines), encoding="ascii")
    done = run(sipframe("user", "import", listed, "--state", state))
    assert done.returncode == 0, done.stderr
