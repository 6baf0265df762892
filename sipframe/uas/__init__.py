"""The UAS core: what every request is checked for before a method's own rules, and the record of every answer."""

from sipframe.uas.core import Admission, Core, UserAgentServer, UserAgentServerCounters

__all__ = ["Admission", "Core", "UserAgentServer", "UserAgentServerCounters"]
