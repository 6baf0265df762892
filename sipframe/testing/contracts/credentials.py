"""The contract of credential sources (:class:`sipframe.interfaces.ICredentialSource`).

Rules: whom a source knows gets in by its password through the real digest authenticator (RFC 7616, RFC 8760), and
nobody else does, whatever a name is made of. Names and realms are compared octet by octet, because HA1 covers them.
What a source raises may be told to a log, so it holds no secret.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, NoReturn

from hypothesis import strategies as st

from sipframe.auth.authenticator import DigestAuthenticator
from sipframe.auth.digest import ALGORITHMS, BASE_ALGORITHMS, ha1, userhash
from sipframe.auth.settings import DigestSettings
from sipframe.auth.userhash import IUserhashSource
from sipframe.interfaces import ICredentialSource
from sipframe.testing.contracts.canonical import is_canonical
from sipframe.testing.contracts.contract import Contract, close
from sipframe.testing.contracts.digest_client import answered, register
from sipframe.testing.contracts.story import Story, cut
from sipframe.testing.contracts.values import StillFlow, odd_names, twisted_names
from sipframe.testing.contracts.waiting import NothingLeft, deferred_if_later
from sipframe.verdicts import Accepted, Challenge, Secret, Unavailable

__tracebackhide__ = True  # pytest: the steps say more than where they were told

__all__ = ["CredentialSourceContract", "KnownUser"]

NAMES: Final = tuple(algorithm.name for algorithm in BASE_ALGORITHMS)
NOBODY: Final = ("nobody", "nobody@example.com", "alice2", "root", "admin")


HEX: Final = "0123456789abcdef"
UNKNOWN: Final = "A name that is not known has no secret: None."
OTHER_REALM: Final = "In a realm that is not its own a name is nobody."


class KnownUser(NamedTuple):
    """Somebody that the source knows."""

    name: str
    password: str
    realm: str = "example.com"


class CredentialSourceContract(Contract):
    """What any credential source has to do. Say whom it knows, two users or more with passwords that differ::

        class TestTable(CredentialSourceContract):
            users = (KnownUser("alice", "wonderland"), KnownUser("bob", "builder"))

            def open_source(self, place: Path) -> TableSource:
                return TableSource({user.name: user.password for user in self.users}, realm="example.com")

    ``algorithms`` are those that the source has secrets for; a source of passwords has them for all. ``any_realm`` says
    that it knows users by name alone, whatever the realm. ``failing_source`` makes one whose back end is gone.
    """

    users: ClassVar[Sequence[KnownUser]] = ()
    algorithms: ClassVar[Sequence[str]] = NAMES
    any_realm: ClassVar[bool] = False

    def open_source(self, place: Path) -> object:
        """Make the source; ``place`` is an empty directory of its own. May return a Deferred or a coroutine of it."""
        raise NotImplementedError

    def close_source(self, source: Any) -> object:
        """Close it. The default calls ``close()``, when there is one."""
        return close(source)

    def failing_source(self, place: Path) -> object:
        """Make a source that cannot answer, say because its server is down; None when there is no such thing."""
        return None

    # Whom it knows

    def test_provides_the_interface(self) -> None:
        with self.opened() as it:
            self.verify(ICredentialSource, it.source)

    def test_whom_it_knows_gets_in_by_the_password(self) -> None:
        for user, algorithm in self.known():
            with self.opened() as it:
                if not isinstance(it.asks_to_get_in(user, algorithm, user.password), Accepted):
                    it.broken("Whom the source knows gets in by the right password.")

    def test_a_wrong_password_gets_nobody_in(self) -> None:
        for user, algorithm in self.known():
            with self.opened() as it:
                for wrong in (user.password + "x", user.password[:-1], "", user.password.swapcase()):
                    if wrong != user.password and not isinstance(
                        it.asks_to_get_in(user, algorithm, wrong), Challenge
                    ):
                        it.broken("A wrong password gets nobody in.")

    def test_a_secret_is_right_or_there_is_none(self) -> None:
        with self.opened() as it:
            for user in self.users:
                for algorithm in NAMES:
                    secret = it.secret(user.name, user.realm, algorithm)
                    if secret is None and algorithm in self.algorithms:
                        it.broken("The source knows its users for each of its algorithms.")
                    if secret is not None and not it.is_right(secret, user, algorithm):
                        it.broken("A secret is the password, or HA1 for the algorithm that was asked for.")

    def test_the_same_answer_twice(self) -> None:
        names = [user.name for user in self.users] + list(NOBODY)
        with self.opened() as it:
            for name in names:
                first = it.secret(name, self.users[0].realm)
                if it.secret(name, self.users[0].realm) != first:
                    it.broken("The same question has the same answer, while nothing has changed.")

    def test_many_at_once(self) -> None:
        asked = [(user.name, user.realm) for user in self.users]
        asked += [(name, self.users[0].realm) for name in NOBODY]
        with self.opened() as it:
            one_by_one = [it.secret(*one, self.algorithms[0]) for one in asked]
            together = it.secrets([(*one, self.algorithms[0]) for one in asked * 5])
            if together != one_by_one * 5:
                it.broken("Each of many questions at once gets its own answer.")

    # Whom it does not know

    def test_nobody_is_nobody(self) -> None:
        with self.opened() as it:
            for name in NOBODY:
                for algorithm in NAMES:
                    it.nobody(name, self.users[0].realm, algorithm)

    def test_odd_names_are_nobody(self) -> None:
        realms = st.sampled_from([user.realm for user in self.users])

        def check(name: str, realm: str, algorithm: str) -> None:
            with self.opened() as it:
                it.nobody(name, realm, algorithm)

        known = sorted({user.name for user in self.users})
        self.for_all(check, odd_names(known, self.also_known()), realms, st.sampled_from(NAMES))

    def test_each_of_the_odd_names_made_of_known_ones_is_nobody(self) -> None:
        known = sorted({user.name for user in self.users})
        with self.opened() as it:
            for name in twisted_names(known):
                if name not in known and name not in self.also_known():
                    with it.story.aside():
                        it.nobody(name, self.users[0].realm, self.algorithms[0])

    def test_in_another_realm_a_name_is_nobody(self) -> None:
        if self.any_realm:
            return
        realms = {user.realm for user in self.users}
        pairs = {(user.name, user.realm) for user in self.users}
        odd = (
            {f"{realm}x" for realm in realms}
            | {realm.swapcase() for realm in realms}
            | {"", "x", "\0", "*", "%"}
        )
        odd |= {twist for realm in realms for twist in twisted_names([realm])}
        with self.opened() as it:
            for name in sorted({user.name for user in self.users}):
                for realm in sorted(odd | realms):
                    if (name, realm) not in pairs and (realm not in realms or name not in self.also_known()):
                        with it.story.aside():
                            it.nobody(name, realm, self.algorithms[0], OTHER_REALM)

    def test_a_name_by_its_hash(self) -> None:
        with self.opened() as it:
            source: object | None = IUserhashSource(it.source, None)
            if source is None:
                return
            for user in self.users:
                for algorithm in self.algorithms:
                    hashed = userhash(ALGORITHMS[algorithm], user.name, user.realm)
                    if it.username(source, hashed, user.realm, algorithm) != user.name:
                        it.broken(
                            "A source that knows users by hash finds each of its users (RFC 7616 3.4.4)."
                        )
            for odd in ("", "0" * 32, "f" * 64, "'", "\udcff", "*", "%", "x" * 100_000):
                if it.username(source, odd, self.users[0].realm, self.algorithms[0]) is not None:
                    it.broken("A hash that is nobody's finds nobody.")

    # What it lets out

    def test_no_secret_is_in_its_repr(self) -> None:
        with self.opened() as it:
            for user in self.users:
                _ = it.secret(user.name, user.realm)
            for shown in (repr(it.source), str(it.source)):
                _ = it.story.tell(f"repr() -> {cut(shown)}")
                if self.leaks(shown):
                    it.broken("A source does not show secrets in its repr.")

    def test_a_source_that_cannot_tell_raises(self) -> None:
        with self.a_try() as place:
            source = self.wait(self.failing_source(place))
            if source is None:
                return
            it = _Asked(self, source)
            try:
                for user in self.users:
                    step = it.story.tell(f"secret({user.name!r}, {user.realm!r}, {self.algorithms[0]!r})")
                    try:
                        answer = self.wait(source.secret(user.name, user.realm, self.algorithms[0]))
                    except NothingLeft as error:
                        it.story.never_answered(step, error)
                    except Exception as error:
                        it.raised(step, error)
                    else:
                        it.story.answered(step, answer)
                        it.broken("A source that cannot tell raises; None says that there is no such user.")
            finally:
                self.wait(self.close_source(source))

    # How the tests above speak

    def also_known(self) -> Sequence[str]:
        """Other spellings that the source knows users by, ``alice@example.com`` for instance."""
        return [f"{user.name}@{user.realm}" for user in self.users]

    def known(self) -> Iterator[tuple[KnownUser, str]]:
        """Each user with each algorithm."""
        for user in self.users:
            for algorithm in self.algorithms:
                yield user, algorithm

    def leaks(self, text: str) -> bool:
        """Whether ``text`` holds a secret of one of the users."""
        return any(secret in text for user in self.users for secret in secrets_of(user))

    @contextmanager
    def opened(self) -> Iterator[_Asked]:
        """A source that can be asked."""
        if len({user.password for user in self.users}) < 2:
            raise ValueError("users: at least two, whose passwords differ")
        with self.a_try() as place:
            source = self.wait(self.open_source(place))
            it = _Asked(self, source)
            try:
                yield it
            finally:
                self.wait(self.close_source(source))
            self.nothing_is_left(it.story, source)


class _Asked:
    """A source under a contract: every call is told, waited for, and its answer looked at."""

    def __init__(self, contract: CredentialSourceContract, source: Any) -> None:
        self.contract = contract
        self.source = source
        self.story = Story()
        self.broken = self.story.broken

    def secret(self, name: str, realm: str, algorithm: str = "MD5") -> Secret | None:
        """Ask for a secret; a password that comes as ``str`` is a Secret as well."""
        return self.secrets([(name, realm, algorithm)])[0]

    def secrets(self, questions: Sequence[tuple[str, str, str]]) -> list[Secret | None]:
        """Ask for many at once."""
        steps, answers = [], []
        for question in questions:
            step = self.story.tell(f"secret({', '.join(map(cut, question))})")
            steps.append(step)
            try:
                answers.append(deferred_if_later(self.source.secret(*question)))
            except Exception as error:
                self.refused(step, error)
        found = []
        for question, step, answer in zip(questions, steps, answers, strict=True):
            try:
                value = self.contract.wait(answer)
            except NothingLeft as error:
                self.story.never_answered(step, error)
            except Exception as error:
                self.refused(step, error)
            else:
                self.story.answered(step, value)
                found.append(self._look_at(value, question[2]))
        return found

    def refused(self, step: int, error: Exception) -> NoReturn:
        """A question that has an answer was not answered."""
        self.raised(step, error)
        self.broken("What can be answered is answered, not raised.", cause=error)

    def raised(self, step: int, error: Exception) -> None:
        """What a source raises holds no secret."""
        self.story.answered(step, f"raised {cut(error)}")
        shown = "".join(traceback.format_exception_only(error)) + repr(error) + repr(error.args)
        if self.contract.leaks(shown):
            self.broken("What a source raises holds no secret.", cause=error)

    def nobody(self, name: str, realm: str, algorithm: str, rule: str = UNKNOWN) -> None:
        """Ask about a name that nobody has."""
        step = self.story.tell(f"secret({cut(name)}, {cut(realm)}, {algorithm!r})")
        try:
            answer = self.contract.wait(self.source.secret(name, realm, algorithm))
        except NothingLeft as error:
            self.story.never_answered(step, error)
        except Exception as error:
            self.raised(step, error)
            if not isinstance(error, Unavailable):
                self.broken(
                    "A name may be anything: the answer is None, or Unavailable is raised.", cause=error
                )
        else:
            self.story.answered(step, answer)
            secret = self._look_at(answer, algorithm)
            if secret is not None:
                for user in self.contract.users:
                    if {secret.ha1, secret.password}.intersection(secrets_of(user)):
                        self.broken(rule, f"it is the secret of {user.name!r}")
                self.broken(rule)

    def username(self, source: Any, hashed: str, realm: str, algorithm: str) -> object:
        step = self.story.tell(f"username({cut(hashed)}, {realm!r}, {algorithm!r})")
        answer = self.contract.asked(self.story, step, source.username, hashed, realm, algorithm)
        self.story.answered(step, answer)
        return answer

    def is_right(self, secret: Secret, user: KnownUser, algorithm: str) -> bool:
        right = ha1(ALGORITHMS[algorithm], user.name, user.realm, user.password)
        return secret.ha1 == right if secret.ha1 is not None else secret.password == user.password

    def asks_to_get_in(self, user: KnownUser, algorithm: str, password: str) -> object:
        """The verdict of a digest authenticator about ``user`` with ``password``."""
        authenticator = DigestAuthenticator(
            self.source,
            domains=[user.realm],
            realm=user.realm,
            secret=bytes(range(32)),
            clock=self.contract.reactor.seconds,
            settings=DigestSettings(algorithms=(algorithm,)),
        )
        flow = StillFlow()
        request = register("example.com")
        challenge = self.contract.wait(authenticator.authenticate(request, flow))
        if not isinstance(challenge, Challenge):
            self.broken("A request without credentials is challenged.")
        field = answered(challenge, user.name, password, request)
        if field is None:
            self.broken("A request without credentials is challenged.")
        step = self.story.tell(f"{user.name!r} registers in {user.realm!r} with {algorithm} and {password!r}")
        request = register("example.com", fields=[field])
        verdict = self.contract.asked(self.story, step, authenticator.authenticate, request, flow)
        self.story.answered(step, type(verdict).__name__)
        return verdict

    def _look_at(self, answer: object, algorithm: str) -> Secret | None:
        """The answer as a Secret, when it is of a form that the interface allows."""
        if answer is None:
            return None
        if isinstance(answer, str):
            return Secret(password=answer)
        if type(answer) is not Secret:
            self.broken(
                "secret() returns a Secret, a password as str, or None.", f"it is {type(answer).__name__}"
            )
        hex_digits: object = answer.ha1
        if hex_digits is None and not isinstance(answer.password, str):
            self.broken("A Secret has HA1 or a password.")
        size = ALGORITHMS[algorithm].size
        if hex_digits is not None and not (
            isinstance(hex_digits, str) and len(hex_digits) == size and set(hex_digits) <= set(HEX)
        ):
            self.broken(f"HA1 is {size} hex digits in lower case for {algorithm} (RFC 7616 3.4.2).")
        if answer.owner is not None and not is_canonical(answer.owner):
            self.broken("An owner is a canonical AOR, sip:user@host.", f"not {answer.owner!r}")
        return answer


def secrets_of(user: KnownUser) -> list[str]:
    return [user.password, *(ha1(ALGORITHMS[name], user.name, user.realm, user.password) for name in NAMES)]
