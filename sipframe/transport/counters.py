"""What the transport floor did with what it does not tell anyone else.

Rules: a drop is a counted drop. Counters only grow; whoever wants rates subtracts.
"""

from __future__ import annotations

import attrs

__all__ = ["TransportCounters"]


@attrs.define
class TransportCounters:
    """One for a whole process, or one for each listener, as the owner likes."""

    datagrams: int = 0
    """Datagrams received, of every kind."""
    malformed: int = 0
    """Messages that could not be read, over every transport."""
    keepalives: int = 0
    """CRLFs over UDP, and pings that were answered (RFC 5626 3.5.1)."""
    stun: int = 0
    """STUN requests that were answered (RFC 5626 3.5.2)."""
    stun_ignored: int = 0
    """STUN that is no sound request."""
    connections_accepted: int = 0
    connections_made: int = 0
    """Connections that we have opened and could use."""
    connections_failed: int = 0
    """Connections of ours that came to nothing."""
    refused_over_limit: int = 0
    """Connections closed at once because there were too many."""
    handshake_failures: int = 0
    handshake_timeouts: int = 0
    first_message_timeouts: int = 0
    message_timeouts: int = 0
    """Connections closed because a message began and did not end."""
    idle_timeouts: int = 0
    linger_timeouts: int = 0
    """Connections cut because the peer did not take the rest after we closed."""
    queue_overflows: int = 0
    """Connections cut because the peer did not read."""
    dropped_dead_flow: int = 0
    """Messages for a flow that was dead."""
    too_large: int = 0
    """Messages for UDP that no datagram can hold."""
    send_errors: int = 0
    """Datagrams that the socket did not take: no buffers, no route, refused."""
    dropped_overload: int = 0
    """Datagrams dropped unread, because more came than could be answered."""
    receive_errors: int = 0
    """Errors that the UDP socket reported when it was read."""
    sink_failures: int = 0
    """Exceptions of the floors above; each is in the log."""
