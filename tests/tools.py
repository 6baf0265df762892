"""Programs of others that tests drive: SIPp, sipsak, baresip."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["require_tool"]


def require_tool(name: str) -> str:
    """Return the path of the program ``name``; skip the test when there is none.

    With ``SIPFRAME_REQUIRE_TOOLS=1`` in the environment the test fails instead.
    """
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed"
        if os.environ.get("SIPFRAME_REQUIRE_TOOLS", "0") not in ("", "0"):
            pytest.fail(f"{reason}, and SIPFRAME_REQUIRE_TOOLS is set", pytrace=False)
        pytest.skip(reason)
    return path
