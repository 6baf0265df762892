"""A SIP registrar (RFC 3261) for Twisted, with pluggable authentication, location store and policy.

Rules of this module: it imports nothing, so that any room may be imported alone.
"""

__version__ = "0.1.0.dev0"
