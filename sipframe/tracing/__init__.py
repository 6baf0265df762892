"""Messages as they pass, for people: which of them, without their secrets, and into a file that Wireshark reads."""

from sipframe.tracing.redaction import REDACTED, redacted
from sipframe.tracing.subject import MOST_CALLS, Subject
from sipframe.tracing.tracer import TraceCounters, Traced, Tracer

__all__ = ["MOST_CALLS", "REDACTED", "Subject", "TraceCounters", "Traced", "Tracer", "redacted"]
