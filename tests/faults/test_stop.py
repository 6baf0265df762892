"""SIGTERM under load: the process ends in time, without a word too many, and what was answered 200 is there."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from tests.interop.accounts import import_accounts
from tests.interop.test_kill import CALLERS, USERS_EACH, Load, User, check
from tests.process import ServerProcess

ROUNDS = 4
ANSWERS = 200


def test_what_was_answered_200_survives_a_stop_under_load(tmp_path: Path) -> None:
    users = {
        number: [User(f"user-{number}-{one}") for one in range(USERS_EACH)] for number in range(len(CALLERS))
    }
    everybody = [user for theirs in users.values() for user in theirs]
    state = tmp_path / "state"
    import_accounts(state, {user.name: "secret" for user in everybody})
    for number in range(ROUNDS):
        server = ServerProcess(state, with_errors=True)
        try:
            check(server, everybody)
            load = Load(server, users, number, random.Random(number).randrange(1, ANSWERS))
            load.enough.wait()
        finally:
            status = server.end(signal.SIGTERM)
        load.join()
        assert load.wrong == []
        # twistd ends by the signal that it was sent, which service managers take for 0.
        assert status == -signal.SIGTERM
        assert "sipframe has stopped" in server.log
        assert "Traceback" not in server.log
        assert "requests unanswered" not in server.log
    with ServerProcess(state) as server:
        check(server, everybody)
