"""The examples in the docstrings of the contracts: they are here, they pass, and the type checker has seen them.

Each class with tests below is the one in the docstring of its contract.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from zope.interface import implementer

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.interfaces import ICredentialSource, IFlow
from sipframe.message import Request, SipURI
from sipframe.policy import BasePolicy
from sipframe.testing import contracts
from sipframe.testing.contracts import (
    Ask,
    AuthenticatorContract,
    CredentialSourceContract,
    DurableLocationStoreContract,
    KnownUser,
    LocationStoreContract,
    PolicyContract,
    Proof,
    digest_proof,
)
from sipframe.verdicts import Admitted, Rejected, Secret
from tests.testing.stores import FileStore


class TestFileStore(LocationStoreContract):
    def open_store(self, place: Path) -> FileStore:
        return FileStore(place / "bindings")


class TestDurableFileStore(DurableLocationStoreContract):
    def open_store(self, place: Path) -> FileStore:
        return FileStore(place / "bindings")


@implementer(ICredentialSource)
class TableSource:
    """Passwords in a dictionary, for one realm."""

    def __init__(self, passwords: Mapping[str, str], realm: str) -> None:
        self._passwords = passwords
        self._realm = realm

    def secret(self, username: str, realm: str, algorithm: str) -> Secret | None:
        password = self._passwords.get(username) if realm == self._realm else None
        return None if password is None else Secret(password=password)


class TestTable(CredentialSourceContract):
    users = (KnownUser("alice", "wonderland"), KnownUser("bob", "builder"))

    def open_source(self, place: Path) -> TableSource:
        return TableSource({user.name: user.password for user in self.users}, realm="example.com")


class HouseAuthenticator(DigestAuthenticator):
    """Digest for one house."""

    def __init__(self, passwords: Mapping[str, str], clock: Any) -> None:
        source = TableSource(passwords, "example.com")
        super().__init__(source, domains=["example.com"], secret=bytes(32), clock=clock)


class TestHouse(AuthenticatorContract):
    def open_authenticator(self, place: Path) -> HouseAuthenticator:
        return HouseAuthenticator({"alice": "wonderland"}, clock=self.reactor.seconds)

    def good_request(self, ask: Ask) -> Proof:
        return digest_proof(ask, "alice", "wonderland")


class ShortNumbers(BasePolicy):
    """Who calls a number of three digits or fewer may; others may not."""

    def __init__(self) -> None:
        self.numbers: dict[str, bool] = {}

    def admit(self, request: Request, flow: IFlow) -> Admitted | Rejected:
        user = request.uri.user if isinstance(request.uri, SipURI) else None
        return Admitted() if user is None or len(user) <= 3 else Rejected(404, "Not Found")


class TestShortNumbers(PolicyContract):
    deterministic = True

    def open_policy(self, place: Path) -> ShortNumbers:
        return ShortNumbers()

    def size(self, policy: ShortNumbers) -> int:
        return len(policy.numbers)


def example_of(contract: type) -> str:
    """The example in a docstring, without its indentation."""
    _, _, rest = inspect.cleandoc(contract.__doc__ or "").partition("::\n\n")
    lines = []
    for line in rest.split("\n"):
        if line and not line.startswith("    "):
            break
        lines.append(line[4:])
    return "\n".join(lines).strip()


CONTRACTS = [
    getattr(contracts, name) for name in contracts.__all__ if name.endswith("Contract") and name != "Contract"
]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_example_of_a_contract_is_one_of_these(contract: type) -> None:
    example = example_of(contract)
    assert example.startswith("class Test")
    example = example.replace("class TestFileStore(Durable", "class TestDurableFileStore(Durable")
    assert example in Path(__file__).read_text(encoding="utf-8")


def test_the_rest_of_testing_needs_no_hypothesis() -> None:
    program = "import sipframe.testing, sys; assert not {'hypothesis', 'pytest'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
