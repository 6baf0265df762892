"""What every location store has to do, whoever wrote it: subclass StoreContract and say how one is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from zope.interface.verify import verifyObject

from sipframe.interfaces import ILocationStore
from sipframe.verdicts import NO_BINDINGS, Binding, Snapshot

NOW = 1_800_000_000.0
AOR = "sip:alice@atlanta.example.com"
OTHER = "sip:bob@biloxi.example.com"


class Opened(Protocol):
    """A store that is open, with plain results whatever it returns."""

    @property
    def store(self) -> object: ...
    def lookup(self, aor: str) -> Snapshot: ...
    def replace(self, aor: str, bindings: tuple[Binding, ...], version: int) -> bool: ...
    def aors(self) -> Iterator[tuple[str, Snapshot]]: ...
    def expire(self, now: float) -> int: ...


def a_binding(contact: str = "sip:alice@192.0.2.1", ends: float = NOW + 3600, cseq: int = 1) -> Binding:
    return Binding(contact, ends, "a84b4c76e66710@192.0.2.1", cseq, NOW)


FULL = Binding(
    contact="sip:alice@192.0.2.1:5061;transport=tls",
    expires_at=NOW + 0.5,
    call_id="a84b4c76e66710@192.0.2.1",
    cseq=2**31 - 1,
    registered_at=NOW - 0.25,
    q="0.70",
    params=';+sip.ice;methods="INVITE,BYE"',
    instance_id='"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"',
    reg_id=1,
    path=("<sip:edge1.example.com;lr>", "<sip:edge2.example.com;lr>;x=1"),
    user_agent="Softphone 1.0",
    flow="TLS 192.0.2.9:5061 192.0.2.1:40000 77",
)


class StoreContract:
    """Tests of compare-and-set, versions, isolation, expiry and iteration."""

    def opened(self) -> AbstractContextManager[Opened]:
        """A fresh, empty store."""
        raise NotImplementedError

    @pytest.fixture
    def it(self) -> Iterator[Opened]:
        with self.opened() as opened:
            yield opened

    def test_provides_the_interface(self, it: Opened) -> None:
        verifyObject(ILocationStore, it.store)

    def test_nothing_is_there_at_first(self, it: Opened) -> None:
        assert it.lookup(AOR) == NO_BINDINGS
        assert list(it.aors()) == []
        assert it.expire(NOW) == 0

    def test_what_was_put_in_comes_back_whole(self, it: Opened) -> None:
        assert it.replace(AOR, (FULL, a_binding()), 0) is True
        snapshot = it.lookup(AOR)
        assert snapshot.bindings == (FULL, a_binding())
        assert {type(binding) for binding in snapshot.bindings} == {Binding}
        assert type(snapshot) is Snapshot

    def test_the_order_of_bindings_is_kept(self, it: Opened) -> None:
        bindings = tuple(a_binding(f"sip:alice@192.0.2.{n}") for n in (7, 1, 9, 3))
        assert it.replace(AOR, bindings, 0) is True
        assert it.lookup(AOR).bindings == bindings

    def test_equal_contacts_are_none_of_its_business(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding(), a_binding()), 0) is True
        assert it.lookup(AOR).bindings == (a_binding(), a_binding())

    def test_a_version_that_has_moved_on_changes_nothing(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding(),), 0) is True
        first = it.lookup(AOR)
        assert it.replace(AOR, (FULL,), 0) is False
        assert it.lookup(AOR) == first
        assert it.replace(AOR, (FULL,), first.version) is True
        assert it.replace(AOR, (), first.version) is False
        assert it.lookup(AOR).bindings == (FULL,)

    def test_a_version_that_never_was_changes_nothing(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding(),), 12345) is False
        assert it.lookup(AOR) == NO_BINDINGS

    def test_no_bindings_is_no_entry(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding(),), 0) is True
        assert it.replace(AOR, (), it.lookup(AOR).version) is True
        assert it.lookup(AOR) == NO_BINDINGS
        assert list(it.aors()) == []

    def test_nothing_replaced_by_nothing(self, it: Opened) -> None:
        assert it.replace(AOR, (), 0) is True
        assert it.lookup(AOR) == NO_BINDINGS

    def test_versions_never_come_back(self, it: Opened) -> None:
        seen: set[int] = set()
        for _ in range(3):
            for bindings in ((a_binding(),), (FULL,), (a_binding(),), ()):
                version = it.lookup(AOR).version
                assert it.replace(AOR, bindings, version) is True
                if bindings:
                    assert it.lookup(AOR).version not in seen | {0}
                    seen.add(it.lookup(AOR).version)

    def test_aors_do_not_touch_each_other(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding(),), 0) is True
        before = it.lookup(AOR)
        assert it.replace(OTHER, (FULL,), 0) is True
        assert it.replace(OTHER, (), it.lookup(OTHER).version) is True
        assert it.lookup(AOR) == before

    def test_a_snapshot_does_not_change_afterwards(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding(),), 0) is True
        held = it.lookup(AOR)
        assert it.replace(AOR, (FULL,), held.version) is True
        assert held.bindings == (a_binding(),)

    @pytest.mark.parametrize(
        "text",
        [
            "sip:\udcff\udc80@x",
            "a\0b",
            "\ud800",
            "\udfff\udbff",
            "grüße ☎ 𝄞",
            "",
            "'; DROP TABLE binding; --",
        ],
    )
    def test_any_text_comes_back(self, it: Opened, text: str) -> None:
        binding = Binding(text, NOW + 1, text, 1, NOW, text, text, text, 1, (text, text), text, text)
        assert it.replace(text, (binding,), 0) is True
        assert it.lookup(text).bindings == (binding,)
        assert it.replace(text, (a_binding(),), it.lookup(text).version) is True
        assert it.lookup(text).bindings == (a_binding(),)

    def test_expiry_takes_what_has_ended_and_only_that(self, it: Opened) -> None:
        early, late = a_binding("sip:1@x", NOW + 10), a_binding("sip:2@x", NOW + 10.5)
        assert it.replace(AOR, (late, early), 0) is True
        assert it.replace(OTHER, (early,), 0) is True
        version = it.lookup(AOR).version
        assert it.expire(NOW + 9.999) == 0
        assert it.lookup(AOR).version == version
        assert it.expire(NOW + 10) == 2
        assert it.lookup(AOR).bindings == (late,)
        assert it.lookup(AOR).version not in (0, version)
        assert it.lookup(OTHER) == NO_BINDINGS
        assert it.expire(NOW + 10.25) == 0
        assert it.expire(NOW + 11) == 1
        assert list(it.aors()) == []

    def test_expiry_makes_an_old_version_useless(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding("sip:1@x", NOW + 1), a_binding()), 0) is True
        version = it.lookup(AOR).version
        assert it.expire(NOW + 1) == 1
        assert it.replace(AOR, (FULL,), version) is False

    def test_a_refreshed_binding_does_not_expire_at_its_old_time(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding(ends=NOW + 10),), 0) is True
        assert it.replace(AOR, (a_binding(ends=NOW + 100),), it.lookup(AOR).version) is True
        assert it.expire(NOW + 50) == 0
        assert it.replace(AOR, (a_binding(ends=NOW + 60),), it.lookup(AOR).version) is True
        assert it.expire(NOW + 60) == 1

    def test_the_clock_may_step_back(self, it: Opened) -> None:
        assert it.replace(AOR, (a_binding(ends=NOW + 10),), 0) is True
        assert it.expire(NOW + 5) == 0
        assert it.expire(NOW - 1_000_000) == 0
        assert it.expire(NOW + 10) == 1

    def test_what_never_ends_stays(self, it: Opened) -> None:
        for aor, ends in ((AOR, float("inf")), (OTHER, NOW + 2**32)):
            assert it.replace(aor, (a_binding(ends=ends),), 0) is True
        assert it.expire(NOW + 2**31) == 0
        assert it.lookup(AOR).bindings == (a_binding(ends=float("inf")),)

    def test_everything_is_forgotten_sooner_or_later(self, it: Opened) -> None:
        for n in range(100):
            assert (
                it.replace(f"sip:{n}@x", (a_binding(ends=NOW + n / 10), a_binding(ends=NOW + 9)), 0) is True
            )
        forgotten = 0
        while forgotten < 200:
            once = it.expire(NOW + 10)
            assert once > 0
            forgotten += once
        assert it.expire(NOW + 10) == 0
        assert list(it.aors()) == []

    def test_iteration_gives_all(self, it: Opened) -> None:
        for n in range(20):
            assert it.replace(f"sip:{n}@x", (a_binding(),), 0) is True
        assert dict(it.aors()) == {f"sip:{n}@x": it.lookup(f"sip:{n}@x") for n in range(20)}

    def test_the_store_may_change_during_iteration(self, it: Opened) -> None:
        for n in range(20):
            assert it.replace(f"sip:{n}@x", (a_binding(),), 0) is True
        seen = []
        for aor, snapshot in it.aors():
            seen.append(aor)
            assert it.replace(aor, (), snapshot.version) is True
            assert it.replace(f"{aor}x", (a_binding(),), 0) is True
        assert set(seen) >= {f"sip:{n}@x" for n in range(20)}

    def test_it_does_what_a_dictionary_would(self) -> None:
        make = self.opened

        class Machine(StoreMachine):
            opened = staticmethod(make)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=40,
                stateful_step_count=40,
                suppress_health_check=list(HealthCheck),
                deadline=None,
            ),
        )


KEYS = st.sampled_from(["sip:a@x", "sip:b@x", "sip:\udc80@x", "sip:\0@x"])
BINDINGS = st.lists(
    st.builds(
        a_binding,
        st.sampled_from(["sip:1@y", "sip:2@y", "sip:\udcff@y"]),
        st.sampled_from([NOW, NOW + 0.5, NOW + 1, NOW + 60, NOW + 61.25]),
        st.integers(0, 2**31 - 1),
    ),
    max_size=4,
).map(tuple)


class StoreMachine(RuleBasedStateMachine):
    """A store beside a dictionary: they never differ."""

    opened: Callable[[], AbstractContextManager[Opened]]

    def __init__(self) -> None:
        super().__init__()
        self.context = type(self).opened()
        self.it = self.context.__enter__()
        self.model: dict[str, tuple[Binding, ...]] = {}
        self.versions: dict[str, set[int]] = {}

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)

    def changed(self, aor: str, bindings: tuple[Binding, ...]) -> None:
        snapshot = self.it.lookup(aor)
        assert snapshot.bindings == bindings
        if bindings:
            self.model[aor] = bindings
            assert snapshot.version not in self.versions.setdefault(aor, {0})
            self.versions[aor].add(snapshot.version)
        else:
            self.model.pop(aor, None)
            assert snapshot.version == 0

    @rule(aor=KEYS, bindings=BINDINGS)
    def replace(self, aor: str, bindings: tuple[Binding, ...]) -> None:
        assert self.it.replace(aor, bindings, self.it.lookup(aor).version) is True
        self.changed(aor, bindings)

    @rule(aor=KEYS, bindings=BINDINGS, data=st.data())
    def replace_too_late(self, aor: str, bindings: tuple[Binding, ...], data: Any) -> None:
        old = self.versions.get(aor, set()) - {self.it.lookup(aor).version}
        if old:
            assert self.it.replace(aor, bindings, data.draw(st.sampled_from(sorted(old)))) is False

    @rule(now=st.sampled_from([NOW - 1, NOW, NOW + 0.75, NOW + 1, NOW + 61, NOW + 62]))
    def expire(self, now: float) -> None:
        before = dict(self.model)
        left = {aor: tuple(b for b in bindings if b.expires_at > now) for aor, bindings in before.items()}
        assert self.it.expire(now) == sum(len(before[aor]) - len(left[aor]) for aor in before)
        for aor in before:
            if left[aor] != before[aor]:
                self.changed(aor, left[aor])

    @invariant()
    def they_are_the_same(self) -> None:
        assert {aor: snapshot.bindings for aor, snapshot in self.it.aors()} == self.model
        for aor in self.model:
            assert self.it.lookup(aor).version == max(self.versions[aor])
