"""The seam for sources that know users by the hash of their name (RFC 7616 3.4.4)."""

from __future__ import annotations

from zope.interface import Interface

__all__ = ["IUserhashSource"]


class IUserhashSource(Interface):
    """Finds the user behind a hash; provided beside ``ICredentialSource``, and only needed to offer userhash."""

    def username(userhash: str, realm: str, algorithm: str) -> object:
        """Find the name whose ``H(name:realm)``, with ``algorithm``, is ``userhash`` (lower-case hex).

        ``algorithm`` is ``MD5``, ``SHA-256`` or ``SHA-512-256``. Return the name as a ``str``, which then goes to
        ``ICredentialSource.secret``, or None; or a Deferred or coroutine of that. ``userhash`` is what a client sent
        and may be any text.
        """
