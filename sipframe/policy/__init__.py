"""The stock policies; they stand exactly where a third party's plug-in stands."""

from sipframe.policy.access import Allow, Conditions, Deny, Refusal
from sipframe.policy.back_off import BackOff, BackOffSettings
from sipframe.policy.base import BasePolicy
from sipframe.policy.rate_limit import RateLimit, RateLimits
from sipframe.policy.shadow import Shadow
from sipframe.policy.terms import RegistrationTerms, TermsChange
from sipframe.policy.via import Via

__all__ = [
    "Allow",
    "BackOff",
    "BackOffSettings",
    "BasePolicy",
    "Conditions",
    "Deny",
    "RateLimit",
    "RateLimits",
    "Refusal",
    "RegistrationTerms",
    "Shadow",
    "TermsChange",
    "Via",
]
