"""What let a REGISTER go on, in words: made when somebody reads the record."""

from __future__ import annotations

from sipframe.verdicts import Terms

__all__ = ["owned", "planned_text", "terms_changed"]


def owned(name: str, aor: str) -> str:
    """Step 4, when it lets the request go on."""
    return f"{name} owns {aor}"


def planned_text(changed: bool, count: int) -> str:
    """Step 8."""
    return f"{count} binding{'' if count == 1 else 's'} now{'' if changed else ', as before'}"


def terms_changed(before: Terms, after: Terms) -> str:
    """What a policy has changed: ``max_contacts 10 -> 1``."""
    return ", ".join(
        [
            f"{name} {old} -> {new}"
            for name, old, new in zip(before._fields, before, after, strict=True)
            if old != new
        ]
    )
