"""A credential source that is slow: every user has the password ``secret``, and each look-up takes 50 ms.

It says HA1, as the accounts of sipframe do, so that waiting is all that is different. The hash is not what is measured.

    PYTHONPATH=benchmarks twistd -n --pidfile= sipregistrar --credentials slow_source.Slow:delay=0.05

Nothing is remembered, and nobody else has to wait: a server whose workers wait for such a source serves
``workers / delay`` users a second. By sipframe's defaults 512 look-ups are under way at once, so 10,240 a second.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from twisted.internet.defer import Deferred
from zope.interface import implementer

from sipframe.auth.digest import ALGORITHMS, ha1
from sipframe.interfaces import ICredentialSource
from sipframe.surroundings import Surroundings
from sipframe.verdicts import Secret

__all__ = ["Slow"]


@lru_cache(maxsize=100_000)
def _known(username: str, realm: str, algorithm: str) -> Secret:
    return Secret(ha1=ha1(ALGORITHMS[algorithm], username, realm, "secret"))


@implementer(ICredentialSource)
class Slow:
    """Knows everybody, after a while."""

    def __init__(
        self, *, delay: Annotated[float, "seconds until the answer"] = 0.05, surroundings: Surroundings
    ) -> None:
        self._delay = delay
        self._later = surroundings.reactor.callLater

    def secret(self, username: str, realm: str, algorithm: str) -> Deferred[Secret]:
        """HA1, after ``delay`` (ICredentialSource)."""
        answer: Deferred[Secret] = Deferred()
        _ = self._later(self._delay, _say, answer, _known(username, realm, algorithm))
        return answer


def _say(answer: Deferred[Secret], secret: Secret) -> None:
    if not answer.called:  # it may have been cancelled
        answer.callback(secret)
