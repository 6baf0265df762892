"""Contracts: what every plug-in of a kind has to do, as tests that anyone's plug-in can be run through.

Subclass one class in a test module and say how a plug-in is made; pytest finds its tests. They need the extra
``sipframe[testing]`` (hypothesis and pytest)::

    from pathlib import Path

    from sipframe.testing.contracts import LocationStoreContract


    class TestMyStore(LocationStoreContract):
        def open_store(self, place: Path) -> MyStore:
            return MyStore(place / "bindings")

A plug-in that does not keep its contract fails a test whose text is the rule that it broke and the calls that show
it, as few as could be found.
"""

from sipframe.testing.contracts.authentication import Ask, AuthenticatorContract, Proof, digest_proof
from sipframe.testing.contracts.contract import Contract
from sipframe.testing.contracts.credentials import CredentialSourceContract, KnownUser
from sipframe.testing.contracts.durable import DurableLocationStoreContract
from sipframe.testing.contracts.location import LocationStoreContract
from sipframe.testing.contracts.policy import PolicyContract
from sipframe.testing.contracts.story import ContractBroken
from sipframe.testing.contracts.values import StillFlow
from sipframe.testing.contracts.waiting import HandReactor

__all__ = [
    "Ask",
    "AuthenticatorContract",
    "Contract",
    "ContractBroken",
    "CredentialSourceContract",
    "DurableLocationStoreContract",
    "HandReactor",
    "KnownUser",
    "LocationStoreContract",
    "PolicyContract",
    "Proof",
    "StillFlow",
    "digest_proof",
]
