"""How a contract waits: the clock, threads, a reactor of the user's own, and what never comes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.threads import deferToThreadPool

from sipframe.testing.contracts import Contract, HandReactor, LocationStoreContract
from sipframe.testing.contracts.waiting import NothingLeft
from tests.testing import stores
from tests.testing.told import rules_of


@pytest.fixture
def contract() -> Contract:
    contract = Contract()
    contract.reactor = HandReactor(1000.0)
    return contract


async def later(answer: Deferred[int]) -> int:
    return await answer + 1


def test_values_deferreds_and_coroutines(contract: Contract) -> None:
    answer: Deferred[int] = Deferred()
    contract.reactor.callLater(5, answer.callback, 1)
    assert contract.wait(1) == 1
    assert contract.wait(later(answer)) == 2
    assert contract.reactor.seconds() == 1005.0


def test_what_fails_is_raised(contract: Contract) -> None:
    answer: Deferred[int] = Deferred()
    contract.reactor.callLater(5, answer.errback, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        contract.wait(later(answer))


def test_what_never_comes_is_not_waited_for(contract: Contract) -> None:
    with pytest.raises(NothingLeft):
        contract.wait(Deferred())


def test_threads_of_a_pool(contract: Contract) -> None:
    reactor = contract.reactor
    try:
        assert contract.wait(deferToThreadPool(reactor, reactor.getThreadPool(), lambda: 4711)) == 4711
    finally:
        reactor.close()


def test_a_thread_that_works_is_waited_for_before_the_clock_is_moved(contract: Contract) -> None:
    go, answer = threading.Event(), Deferred[str]()
    contract.reactor.callLater(5, answer.callback, "too late")

    def work() -> None:
        assert go.wait(60)
        contract.reactor.callFromThread(answer.callback, "in time")

    thread = threading.Thread(target=work)
    thread.start()
    go.set()
    assert contract.wait(answer) == "in time"
    thread.join()


def test_surroundings_for_a_plug_in_that_asks_for_them(contract: Contract, tmp_path: Path) -> None:
    surroundings = contract.surroundings(tmp_path, domains=("example.org",))
    assert (surroundings.state, surroundings.domains) == (tmp_path, ("example.org",))
    assert surroundings.wall_clock() == 1000.0
    with pytest.raises(ValueError, match="is alone"):
        _ = surroundings.credentials()


class OnAReactor(LocationStoreContract):
    """A store that has a reactor of its own, which really runs."""

    def open_store(self, place: Path) -> stores.SlowStore:
        self.mine = SelectReactor()
        self.mine.startRunning(installSignalHandlers=False)
        store = stores.SlowStore(self.mine)
        store.delay = 0.001
        return store

    def close_store(self, store: stores.SlowStore) -> None:
        for reader in self.mine.removeAll():
            reader.connectionLost(None)

    def pump(self) -> None:
        self.mine.iterate(0.001)


@pytest.mark.parametrize("rule", [rule for rule in rules_of(OnAReactor) if rule.startswith("calls_that")])
def test_a_real_reactor(rule: str) -> None:
    getattr(OnAReactor(), f"test_{rule}")()
