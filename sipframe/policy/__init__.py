"""The stock policies; they stand exactly where a third party's plug-in stands."""

from sipframe.policy.base import BasePolicy

__all__ = ["BasePolicy"]
