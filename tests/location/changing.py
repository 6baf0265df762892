"""A process that changes bindings until it is killed, and says what was acknowledged: ``AOR NUMBER`` a line."""

from __future__ import annotations

import os
import sys
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor

from sipframe.location import SQLiteStore
from sipframe.location.sqlite import Durability
from sipframe.verdicts import Binding
from tests.location.contract import NOW

AORS = 40


def main(path: str, durability: str) -> None:
    reactor = SelectReactor()
    store = SQLiteStore(path, reactor, durability=cast(Durability, durability))
    store.start(NOW)

    def change(aor: str, number: int) -> None:
        count = 0 if number % 4 == 0 else 1 + number % 2
        bindings = tuple(Binding(f"sip:{n}@x", NOW + 3600, "id", number, NOW) for n in range(count))
        answer = store.replace(aor, bindings, store.lookup(aor).version)
        if not isinstance(answer, Deferred):
            os._exit(1)
        _ = answer.addCallback(acknowledged, aor, number).addErrback(lambda _: os._exit(2))

    def acknowledged(done: bool, aor: str, number: int) -> None:
        assert done
        os.write(1, f"{aor} {number}\n".encode())
        change(aor, number + 1)

    for n in range(AORS):
        reactor.callWhenRunning(change, f"sip:{n}@x", 1)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
