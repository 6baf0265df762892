"""Tells twistd about sipframe. Every ``twistd --help`` imports this file, so it names and loads nothing else."""

from twisted.application.service import ServiceMaker

sipregistrar = ServiceMaker(
    "sipregistrar",
    "sipframe.tap",
    "A SIP registrar (RFC 3261) with pluggable authentication, location store and policy.",
    "sipregistrar",
)
