"""The whole server in memory, for tests of whatever is plugged into it: real transactions, real TLS, a clock of yours.

    from sipframe.testing import Server

    def test_an_extension_is_registered() -> None:
        with Server(users={"alice": "secret"}) as server:
            phone = server.phone("sip:alice@example.com", password="secret", transport="tls")
            assert phone.register(expires=600).status == 200
            server.advance(599)
            assert server.bindings("sip:alice@example.com")
            server.advance(2)
            assert not server.bindings("sip:alice@example.com")

:class:`Server` is the server, :class:`Phone` what speaks to it, :class:`Network` what is between them and may lose,
double and delay. No socket is opened, no thread is started and nothing waits: a day takes as long as its messages take.
"""

from sipframe.testing.call import Call
from sipframe.testing.dialog import Dialog
from sipframe.testing.exchange import Exchange, Incoming, NoAnswer
from sipframe.testing.flows import Flow, StreamFlow
from sipframe.testing.network import Delay, Network
from sipframe.testing.phone import Phone
from sipframe.testing.reactor import MemoryReactor
from sipframe.testing.server import Server
from sipframe.testing.timeline import Restless, ScheduledCall, Timeline
from sipframe.testing.users import Users
from sipframe.testing.wire import Passage, Wire

__all__ = [
    "Call",
    "Delay",
    "Dialog",
    "Exchange",
    "Flow",
    "Incoming",
    "MemoryReactor",
    "Network",
    "NoAnswer",
    "Passage",
    "Phone",
    "Restless",
    "ScheduledCall",
    "Server",
    "StreamFlow",
    "Timeline",
    "Users",
    "Wire",
]
