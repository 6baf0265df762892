"""Checkers of twisted.cred: those that can serve Digest do, the others are refused at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.cred.checkers import (
    ANONYMOUS,
    AllowAnonymousAccess,
    FilePasswordDB,
    ICredentialsChecker,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.error import LoginDenied, UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

from sipframe.auth.sources.cred import CheckerSource
from sipframe.interfaces import ICredentialSource
from sipframe.verdicts import Secret, Unavailable
from tests.auth.sources.around import CANARY, by_name, logged, registers, result, text_of

HERE = "tests.auth.sources.test_cred"
ASKED = ("bob", "example.com", "MD5")


@implementer(ICredentialsChecker)
class Checker:
    """Answers with ``answer`` after it has compared ``passwords``."""

    credentialInterfaces: tuple[Any, ...] = (IUsernameHashedPassword,)

    def __init__(self, *passwords: object, answer: object = b"avatar") -> None:
        self.passwords = passwords
        self.answer = answer
        self.matched: list[bool] = []

    def requestAvatarId(self, credentials: Any) -> Any:
        assert credentials.username == b"bob"
        self.matched = [credentials.checkPassword(password) for password in self.passwords]
        return self.answer


class PlainTextOnly(Checker):
    credentialInterfaces = (IUsernamePassword,)


def memory() -> InMemoryUsernamePasswordDatabaseDontUse:
    return InMemoryUsernamePasswordDatabaseDontUse(bob=CANARY.encode(), empty=b"")


a_checker = memory()
no_checker = 7


def broken() -> object:
    raise LookupError(CANARY)


def test_a_user_of_the_checker_in_memory_registers() -> None:
    source = CheckerSource(memory())
    assert registers(source) is True
    assert registers(source, password="guess") is False
    assert registers(source, "carol") is False
    assert registers(source, "empty", "") is False
    assert registers(source, b"\xff".decode("utf-8", "surrogateescape")) is False
    assert CANARY not in repr(source)
    assert verifyObject(ICredentialSource, source)


@pytest.mark.parametrize("cache", [False, True])
def test_a_user_of_a_password_file_registers(tmp_path: Path, cache: bool) -> None:
    path = tmp_path / "users"
    path.write_text(f"alice:x\nbob:{CANARY}\n")
    source = CheckerSource(FilePasswordDB(str(path), cache=cache))
    assert registers(source) is True
    assert registers(source, password="guess") is False
    assert registers(source, "carol") is False


def test_a_user_of_a_password_file_by_name(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"bob:{CANARY}\n")
    assert registers(by_name("cred", tmp_path, checker=f"file:{tmp_path / 'users'}")) is True


@pytest.mark.parametrize("name", ["memory", "a_checker"])
def test_a_checker_by_its_dotted_name(tmp_path: Path, name: str) -> None:
    assert registers(by_name("cred", tmp_path, checker=f"{HERE}.{name}")) is True


def test_a_checker_that_takes_its_time() -> None:
    waiting: Deferred[object] = Deferred()
    proved = registers(CheckerSource(Checker(CANARY.encode(), answer=waiting)))
    waiting.callback(b"avatar")
    assert result(proved) is True


@pytest.mark.parametrize("refusal", [UnauthorizedLogin(), LoginDenied()])
def test_a_user_whom_the_checker_refuses_although_the_password_is_right(refusal: Exception) -> None:
    assert CheckerSource(Checker(CANARY, answer=fail(refusal))).secret(*ASKED) is None
    waiting: Deferred[object] = Deferred()
    answer = CheckerSource(Checker(CANARY, answer=waiting)).secret(*ASKED)
    waiting.errback(refusal)
    assert result(answer) is None


def test_anonymous_is_nobody() -> None:
    assert CheckerSource(Checker(CANARY, answer=succeed(ANONYMOUS))).secret(*ASKED) is None


@pytest.mark.parametrize("password", ["łódź", "łódź".encode(), b"\xff"])
def test_passwords_in_octets_or_text(password: str | bytes) -> None:
    text = password if isinstance(password, str) else password.decode("utf-8", "surrogateescape")
    assert CheckerSource(Checker(password)).secret(*ASKED) == Secret(password=text)


@pytest.mark.parametrize("passwords", [(), (CANARY, CANARY), (7,), (None,)])
def test_a_checker_that_lets_in_without_comparing_one_password(passwords: tuple[object, ...]) -> None:
    source = CheckerSource(Checker(*passwords, answer=succeed(b"avatar")))
    with pytest.raises(TypeError) as error:
        source.secret(*ASKED)
    text_of(error)


@pytest.mark.parametrize("error", [Unavailable("down"), LookupError("broken")])
def test_what_a_checker_raises_rises(error: Exception) -> None:
    with logged(), pytest.raises(type(error)):
        CheckerSource(Checker(CANARY, answer=fail(error))).secret(*ASKED)
    waiting: Deferred[object] = Deferred()
    answer = CheckerSource(Checker(CANARY, answer=waiting)).secret(*ASKED)
    waiting.errback(error)
    with pytest.raises(type(error)):
        result(answer)


@pytest.mark.parametrize(
    "checker",
    [PlainTextOnly(CANARY), AllowAnonymousAccess(), FilePasswordDB("users", hash=lambda *_: b"")],
)
def test_a_checker_that_cannot_serve_digest(checker: object) -> None:
    with pytest.raises(ValueError, match="cannot serve Digest, which never sends a password") as error:
        CheckerSource(checker)
    text_of(error)


def test_an_interface_that_extends_the_right_one() -> None:
    class IMore(IUsernameHashedPassword):
        pass

    class IOther(Interface):
        pass

    class More(Checker):
        credentialInterfaces = (IOther, IMore)

    assert registers(CheckerSource(More(CANARY))) is True


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"nothing-such:{CANARY}", "twisted.cred makes no checker of 'nothing-such': InvalidAuthType"),
        (f"memory:{CANARY}", "twisted.cred makes no checker of 'memory': InvalidAuthArgumentString"),
        ("anonymous", "cannot serve Digest"),
        (f"{HERE}.nothing", "cannot be made: AttributeError"),
        (f"{HERE}.broken", "cannot be made: LookupError"),
        (f"{HERE}.no_checker", "is no ICredentialsChecker"),
        ("builtins.dict", "is no ICredentialsChecker"),
    ],
)
def test_a_name_that_leads_to_no_checker(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ValueError) as error:
        by_name("cred", tmp_path, checker=name)
    assert reason in text_of(error)


def test_a_password_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="No such file"):
        by_name("cred", tmp_path, checker=f"file:{tmp_path / 'nothing'}")
    capsys.readouterr()


def test_no_checker_at_all() -> None:
    with pytest.raises(TypeError):
        CheckerSource(object())
