"""The seams: everything between a core and a plug-in.

Rules: this is the only room below the transport that knows what a Deferred is. Plug-ins are asked through here and in
no other way: a value that is there at once goes on at once; a Deferred or a coroutine in its time; nothing for ever.
What a plug-in raises reaches whoever asked as a failure, and never lets anyone in.
"""

from sipframe.seams.answers import NotAsked, chained, field_lines, name_of, refusal_for, refusal_line, report
from sipframe.seams.flights import SingleFlight
from sipframe.seams.guard import Continuation, Guard, GuardedMethod
from sipframe.seams.inquiry import Inquiry
from sipframe.seams.limits import PluginLimits
from sipframe.seams.seam import Seam

__all__ = [
    "Continuation",
    "Guard",
    "GuardedMethod",
    "Inquiry",
    "NotAsked",
    "PluginLimits",
    "Seam",
    "SingleFlight",
    "chained",
    "field_lines",
    "name_of",
    "refusal_for",
    "refusal_line",
    "report",
]
