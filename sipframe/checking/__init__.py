"""Checks that hold any SIP registrar to its RFCs, over real sockets or any others (``sipframe check``)."""

from sipframe.checking.check import Check, CheckError, Level, Outcome, Result
from sipframe.checking.run import Report, run_checks
from sipframe.checking.suite import CHECKS, chosen
from sipframe.checking.target import Sockets, Target, Timing

__all__ = [
    "CHECKS",
    "Check",
    "CheckError",
    "Level",
    "Outcome",
    "Report",
    "Result",
    "Sockets",
    "Target",
    "Timing",
    "chosen",
    "run_checks",
]
