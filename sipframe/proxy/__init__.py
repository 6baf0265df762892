"""The proxy: RFC 3261 16, as a pure response context and pure functions that check, route and forward, and a driver.

The road of a request: :func:`validate` (16.3), :func:`preprocess` (16.4), a :class:`ResponseContext` that is given the
targets (16.5) and says what to forward and what to answer (16.6 to 16.10), :func:`way` and :func:`forwarded_request`
for each branch (16.6), :func:`forwarded_response` for what goes back (16.7). :class:`Proxy` goes that road with every
request, and :mod:`sipframe.proxy.fork` performs what the context asks for.
"""

from sipframe.proxy.actions import (
    Action,
    CancelBranch,
    Done,
    DropBranch,
    Forward,
    Respond,
    SetTimerC,
    StopTimerC,
)
from sipframe.proxy.context import Forking, ResponseContext
from sipframe.proxy.core import Proxy
from sipframe.proxy.fork import Fork, ProxyCounters
from sipframe.proxy.forwarding import Copy, forwarded_request, forwarded_response
from sipframe.proxy.loops import Branches
from sipframe.proxy.proxied import Come
from sipframe.proxy.record_route import record_routes, route_uri
from sipframe.proxy.routing import Ours, Preprocessed, Way, preprocess, request_uri, way
from sipframe.proxy.settings import ProxySettings
from sipframe.proxy.targets import target_of
from sipframe.proxy.token import FlowTokens
from sipframe.proxy.validation import AnswerHere, Refusal, Valid, Validation, validate

__all__ = [
    "Action",
    "AnswerHere",
    "Branches",
    "CancelBranch",
    "Come",
    "Copy",
    "Done",
    "DropBranch",
    "FlowTokens",
    "Fork",
    "Forking",
    "Forward",
    "Ours",
    "Preprocessed",
    "Proxy",
    "ProxyCounters",
    "ProxySettings",
    "Refusal",
    "Respond",
    "ResponseContext",
    "SetTimerC",
    "StopTimerC",
    "Valid",
    "Validation",
    "Way",
    "forwarded_request",
    "forwarded_response",
    "preprocess",
    "record_routes",
    "request_uri",
    "route_uri",
    "target_of",
    "validate",
    "way",
]
