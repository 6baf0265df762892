"""The registrar: RFC 3261 10, as a pure plan and a thin driver; Path, Service-Route, Outbound and GRUU."""

from sipframe.domains import Domains
from sipframe.registrar.core import Registrar
from sipframe.registrar.plan import Plan, Refusal, Registration, contact_lines, plan, registration_of
from sipframe.registrar.settings import RegistrarSettings

__all__ = [
    "Domains",
    "Plan",
    "Refusal",
    "Registrar",
    "RegistrarSettings",
    "Registration",
    "contact_lines",
    "plan",
    "registration_of",
]
