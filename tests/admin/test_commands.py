from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from sipframe.admin.commands import COMMANDS, Answer, Unanswerable, answer
from sipframe.admin.protocol import ErrorKind, Malformed, decision_from, traced_from
from sipframe.decisions import Step
from sipframe.tracing import Traced
from sipframe.verdicts import Address, Snapshot
from tests.admin.served import Stand, binding, decision

NOW = 1.6e9


def asked(stand: Stand, **request: object) -> Answer:
    """The answer to a request of version 1, which is there at once."""
    line = json.dumps({"version": 1, **request}).encode()
    found: list[Answer] = []
    failed: list[BaseException | None] = []
    finding = Deferred.fromCoroutine(answer(stand, line, NOW))
    _ = finding.addCallbacks(found.append, lambda failure: failed.append(failure.value))
    for error in failed:
        assert error is not None
        raise error
    [one] = found
    return one


class Heard(list[dict[str, Any]]):
    """What a follower was told."""

    def take(self, item: dict[str, Any] | Callable[[], dict[str, Any]]) -> bool:
        self.append(item() if callable(item) else item)
        return True


def calls(stand: Stand, **fields: object) -> list[str]:
    """The Call-IDs of an answer to ``why``."""
    return [decision_from(item).call_id for item in asked(stand, command="why", **fields).items]


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    """Four answers: bob with a wrong password, amy admitted, bob refused, and nobody in particular."""
    made = Stand(tmp_path)
    made.decisions.add(decision("wrong", at=10.0))
    made.decisions.add(decision("right", aor="sip:amy@localhost", status=200, at=20.0))
    made.decisions.add(decision("refused", status=403, at=30.0))
    made.decisions.add(decision("options", aor="", status=200, at=40.0))
    return made


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, ["wrong", "refused"]),
        ({"all": True}, ["wrong", "right", "refused", "options"]),
        ({"most": 1}, ["refused"]),
        ({"most": 0}, []),
        ({"call_id": "right"}, ["right"]),
        ({"call_id": None, "aor": None}, ["wrong", "refused"]),
        ({"aor": "sip:bob@localhost"}, ["wrong", "refused"]),
        ({"aor": "bob@LOCALHOST;transport=tcp"}, ["wrong", "refused"]),
        ({"aor": "sips:bob@127.0.0.1:5061"}, ["wrong", "refused"]),  # an alias
        ({"aor": "bob@127.0.0.1", "most": 1}, ["refused"]),
        ({"aor": "sip:bob@localhost", "call_id": "right"}, ["wrong", "right", "refused"]),
        ({"aor": "bob@elsewhere"}, []),
        ({"aor": "not an AOR"}, []),
        ({"aor": "", "call_id": ""}, []),
        ({"aor": "tel:+1"}, []),
    ],
)
def test_why(stand: Stand, fields: dict[str, object], found: list[str]) -> None:
    assert calls(stand, **fields) == found


def test_an_aor_with_octets_that_are_no_utf_8(stand: Stand) -> None:
    aor = b"sip:caf\xe9@localhost".decode("utf-8", "surrogateescape")
    stand.decisions.add(decision("octets", aor=aor))
    assert calls(stand, aor=aor) == ["octets"]


def test_names_that_are_longer_than_those_on_record(stand: Stand) -> None:
    long = "x" * 30_000
    stand.decisions.record(
        (1.5e9, "REGISTER", "", f"sip:{long}@b", long, 1, "UDP", Address("::1", 1), 403, "", ())
    )
    [on_record] = calls(stand, call_id=long)
    assert len(on_record) < len(long)
    assert calls(stand, aor=f"sip:{long}@b") == [on_record]


def test_why_says_how_much_is_remembered(stand: Stand) -> None:
    end = {"kept": 4, "most_kept": 1000, "oldest": 10.0, "older_refusals": 0, "matching": 2}
    assert asked(stand, command="why", most=1).end == end
    assert asked(Stand(Path(), 0), command="why").end == {
        "kept": 0,
        "most_kept": 0,
        "oldest": None,
        "older_refusals": 0,
        "matching": 0,
    }


def test_a_watch_hears_of_what_it_asked_for_until_it_ends(stand: Stand) -> None:
    watch = asked(stand, command="watch", aor="bob@localhost", most=1)
    assert [item["call_id"] for item in watch.items] == ["refused"]
    heard = Heard()
    assert watch.follow is not None
    end = watch.follow(heard.take)
    stand.decisions.add(decision("amy", aor="sip:amy@localhost"))
    stand.decisions.add(decision("bob", status=200))
    end()
    stand.decisions.add(decision("later"))
    assert [decision_from(item).call_id for item in heard] == ["bob"]


def message(call_id: str, user: str = "bob") -> bytes:
    head = f"OPTIONS sip:localhost SIP/2.0\r\nTo: <sip:{user}@localhost>\r\nCall-ID: {call_id}\r\n"
    return f"{head}Authorization: Bearer secret\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, ["1", "2"]),
        ({"call_id": "1"}, ["1"]),
        ({"aor": "amy@127.0.0.1"}, ["2"]),
        ({"aor": "1", "call_id": "1"}, ["1"]),
        ({"aor": "eve@localhost", "call_id": "eve@localhost"}, []),
    ],
)
def test_a_trace(stand: Stand, fields: dict[str, object], found: list[str]) -> None:
    trace = asked(stand, command="trace", **fields)
    assert (list(trace.items), trace.end) == ([], {"now": NOW})
    assert not stand.traffic.watched
    heard = Heard()
    assert trace.follow is not None
    end = trace.follow(heard.take)
    flow: Any = SimpleNamespace(transport="TLS", local=Address("::1", 5061), peer=Address("::2", 4))
    stand.traffic.came(message("1"), flow)
    stand.traffic.came(message("2", "amy"), flow)
    assert [item["message"].split("Call-ID: ")[1][0] for item in heard] == found
    assert "secret" not in str(heard)
    [counters] = asked(stand, command="counters").items
    assert counters["trace"] == {"readers": 1, "messages": len(found), "missed": 0}
    end()
    end()
    assert not stand.traffic.watched
    assert stand.tracer.counters.readers == 0


def test_a_traced_message_there_and_back(stand: Stand) -> None:
    heard = Heard()
    trace = asked(stand, command="trace").follow
    assert trace is not None
    _ = trace(heard.take)
    flow: Any = SimpleNamespace(transport="UDP", local=Address("192.0.2.1", 5060), peer=None)
    stand.traffic.left(b"\xff\0", flow, Address("192.0.2.7", 9))
    [item] = json.loads(json.dumps(heard))
    traced = Traced(1.5e9, True, "UDP", Address("192.0.2.1", 5060), Address("192.0.2.7", 9), b"\xff\0")
    assert traced_from({**item, "new": 1}) == traced
    for name in item:
        with pytest.raises(Malformed):
            traced_from({**item, name: None} if name not in ("sent", "transport") else {})


def test_what_a_reader_misses_is_counted(stand: Stand) -> None:
    trace = asked(stand, command="trace").follow
    assert trace is not None
    _ = trace(lambda make: False)
    stand.traffic.left(b"", SimpleNamespace(transport="UDP", local=None), Address("", 0))  # type: ignore[arg-type]
    assert (stand.tracer.counters.messages, stand.tracer.counters.missed) == (0, 1)


def test_a_watch_of_refusals(stand: Stand) -> None:
    watch = asked(stand, command="watch")
    heard = Heard()
    assert watch.follow is not None
    _ = watch.follow(heard.take)
    asks = (Step("DigestAuthenticator.authenticate", "Challenge", "no credentials", 0.0),)
    for number, (status, steps) in enumerate([(200, ()), (401, asks), (401, decision().steps), (500, ())]):
        stand.decisions.add(decision(str(number), status=status, steps=steps))
    assert [item["call_id"] for item in heard] == ["2", "3"]


class Waiting:
    """A store whose answers have to be waited for: a Deferred, and a coroutine."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def lookup(self, aor: str) -> Deferred[Snapshot]:
        answer: Deferred[Snapshot] = Deferred()
        answer.callback(self._store.lookup(aor))
        return answer

    async def aors(self) -> Iterator[tuple[str, Snapshot]]:
        found: Iterator[tuple[str, Snapshot]] = self._store.aors()
        return found


@pytest.mark.parametrize("waiting", [False, True])
def test_bindings(stand: Stand, waiting: bool) -> None:
    for name in ("bob", "amy"):
        contacts = (binding(f"sip:{name}@192.0.2.7"), binding("sip:gone@192.0.2.8", NOW))
        stand.location.replace(f"sip:{name}@localhost", contacts, 0)
    if waiting:
        stand.location = Waiting(stand.location)
    every = asked(stand, command="bindings")
    assert {(item["aor"], item["contact"]) for item in every.items} == {
        ("sip:bob@localhost", "sip:bob@192.0.2.7"),
        ("sip:amy@localhost", "sip:amy@192.0.2.7"),
    }
    assert every.end == {"now": NOW}
    for aor in ("bob@localhost", "sip:bob@127.0.0.1"):
        [item] = asked(stand, command="bindings", aor=aor).items
        assert item == {"aor": "sip:bob@localhost", **binding("sip:bob@192.0.2.7")._asdict()}
    assert list(asked(stand, command="bindings", aor="eve@localhost").items) == []


def test_bindings_of_a_server_that_is_not_running(stand: Stand) -> None:
    stand.location = None
    with pytest.raises(Unanswerable, match="the server is not running"):
        asked(stand, command="bindings")


def test_remove(stand: Stand) -> None:
    aor = "sip:bob@localhost"
    assert list(asked(stand, command="remove", aor=aor).items) == [binding("sip:bob@192.0.2.7")._asdict()]
    [item] = asked(stand, command="remove", aor=aor, contact="sip:1").items
    assert item["contact"] == "sip:1"
    with pytest.raises(Unanswerable, match="the disk is full"):
        asked(stand, command="remove", aor=aor, contact="sip:full")
    with pytest.raises(Malformed, match="no SIP URI with a user"):
        asked(stand, command="remove", aor="nobody")
    with pytest.raises(Malformed, match="needs the field aor"):
        asked(stand, command="remove")


def test_counters(stand: Stand) -> None:
    stand.counters.datagrams = 7
    assert stand.uas_counters is not None
    stand.uas_counters.merged = 3
    [item] = asked(stand, command="counters").items
    assert (item["transport"]["datagrams"], item["uas"]["merged"]) == (7, 3)
    assert item["transactions"] == {"non-invite server completed": 2}
    assert item["decisions"] == {"kept": 4, "most_kept": 1000}


@pytest.mark.parametrize("version", [None, 0, 2, "1"])
def test_another_version(stand: Stand, version: object) -> None:
    with pytest.raises(Unanswerable, match="this server speaks version 1 ") as caught:
        asked(stand, command="why", version=version)
    assert caught.value.kind is ErrorKind.VERSION


@pytest.mark.parametrize("name", [None, "", "shutdown", "Why", 1, ["why"], {}])
def test_another_command(stand: Stand, name: object) -> None:
    with pytest.raises(Unanswerable, match=", ".join(COMMANDS)) as caught:
        asked(stand, command=name)
    assert caught.value.kind is ErrorKind.COMMAND


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("most", -1, "below 0"),
        ("most", True, "of another type"),
        ("most", 1.5, "of another type"),
        ("most", "1", "of another type"),
        ("all", 1, "of another type"),
        ("aor", ["sip:bob@localhost"], "of another type"),
        ("call_id", {}, "of another type"),
        ("colour", "red", "why has no field 'colour'"),
        ("\x1b[31m", 1, r"why has no field '\\x1b\[31m'"),
    ],
)
def test_another_field(stand: Stand, field: str, value: object, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        asked(stand, command="why", **{field: value})
