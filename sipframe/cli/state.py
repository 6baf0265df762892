"""Where a server keeps what it must not forget, unless it is told another place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["default_state_directory", "make_state_directory"]


def default_state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """``$XDG_STATE_HOME/sipframe``, or ``~/.local/state/sipframe``."""
    base = environ.get("XDG_STATE_HOME", "")
    # The XDG rules: a relative path counts as not set.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / "sipframe"


def make_state_directory(path: Path) -> None:
    """Make the directory, for its owner alone, when there is none. Raises OSError."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
