"""``sipframe why``: asked of a real socket, and of a real server that has refused somebody."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sipframe.admin.protocol import decision_from
from sipframe.admin.server import AdminServer
from sipframe.cli.explaining import local_time
from sipframe.cli.main import main
from sipframe.location import MemoryStore
from tests.admin.served import Stand, binding, decision
from tests.process import PATIENCE, sipframe

Steps = Generator[Deferred[Any], Any, None]
UTF_8 = {"PYTHONIOENCODING": "utf-8"}


class Done(NamedTuple):
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def done(encoding: str, *arguments: str | Path) -> Done:
    """Run ``sipframe`` with files of this encoding to write to."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    texts = []
    for file in (out, err):
        file.flush()
        file.seek(0)
        texts.append(file.read())
    return Done(code, *texts)


class Following:
    """``sipframe why --follow`` in a process of its own, read line by line."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            sipframe("why", "--follow", "--state", state, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **UTF_8},
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out, self.err = self.process.stdout, self.process.stderr

    def wait_until_live(self) -> str:
        return self.err.readline()

    def end(self) -> tuple[int, str]:
        """Interrupt it; exit code, and what else it said."""
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        with self.out, self.err:
            rest = self.out.read() + self.err.read()
        return self.process.wait(PATIENCE), rest


class WhyTests(TestCase):
    """A socket whose answers are known."""

    timeout: ClassVar[float] = 2 * PATIENCE

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.state = Path(self.mktemp())  # type: ignore[no-untyped-call]
        self.state.mkdir()
        self.stand = Stand(self.state, 3)
        self.server = AdminServer(self.stand, self.state / "admin.sock", reactor)
        self.server.start()
        self.addCleanup(self.server.stop)

    def sipframe(self, command: str, *arguments: str | Path, encoding: str = "utf-8") -> Deferred[Done]:
        """A command about this server, in a thread."""
        return deferToThread(done, encoding, command, "--state", self.state, *arguments)

    @inlineCallbacks
    def test_the_last_refusals(self) -> Steps:
        self.stand.decisions.add(decision("wrong"))
        self.stand.decisions.add(decision("right", status=200))
        self.stand.decisions.add(decision("refused\x1b[31m", status=403, reason="Forbidden"))
        ended = yield self.sipframe("why")
        at = local_time(1.5e9)
        assert ended.stdout.split("\n") == [
            f"{at}  REGISTER sip:bob@localhost  →  401 Unauthorized",
            "  from UDP 192.0.2.7:5062 to sip:localhost, Call-ID wrong, CSeq 2",
            "    RateLimit.admit                   Admitted    12 µs",
            "  ▶ DigestAuthenticator.authenticate  Challenge  184 µs  wrong digest",
            "",
            f"{at}  REGISTER sip:bob@localhost  →  403 Forbidden",
            "  from UDP 192.0.2.7:5062 to sip:localhost, Call-ID refused\\x1b[31m, CSeq 2",
            "    RateLimit.admit                   Admitted    12 µs",
            "  ▶ DigestAuthenticator.authenticate  Challenge  184 µs  wrong digest",
            "",
        ]
        assert (ended.returncode, ended.stderr) == (0, "")
        ended = yield self.sipframe("why", encoding="ascii")
        assert "->  401 Unauthorized" in ended.stdout

    @inlineCallbacks
    def test_about_a_call_or_an_aor(self) -> Steps:
        self.stand.decisions.add(decision("call-1", status=200))
        self.stand.decisions.add(decision("call-2", aor="sip:amy@localhost"))
        for about, found in (
            ("call-1", ["call-1"]),
            ("bob@localhost", ["call-1"]),
            ("sip:amy@127.0.0.1", ["call-2"]),
        ):
            ended = yield self.sipframe("why", about, "--json")
            assert [json.loads(line)["call_id"] for line in ended.stdout.splitlines()] == found

    @inlineCallbacks
    def test_as_json_with_all_that_is_known(self) -> Steps:
        self.stand.decisions.add(decision("é\x1b"))
        ended = yield self.sipframe("why", "--json")
        assert ended.stdout.isascii()
        assert decision_from(json.loads(ended.stdout)) == decision("é\x1b")

    @inlineCallbacks
    def test_not_all_are_shown(self) -> Steps:
        for number in range(3):
            self.stand.decisions.add(decision(f"call-{number}"))
        ended = yield self.sipframe("why", "-n", "1")
        assert "Call-ID call-2" in ended.stdout
        assert ended.stdout.count("Call-ID") == 1
        assert ended.stderr == "1 of 3 are shown; -n 3 shows all.\n"
        ended = yield self.sipframe("why", "-n", "3")
        assert (ended.stdout.count("Call-ID"), ended.stderr) == (3, "")

    @inlineCallbacks
    def test_nothing_is_known(self) -> Steps:
        ended = yield self.sipframe("why", "call-1")
        assert ended.returncode == 1
        assert (
            ended.stdout == "Nothing is known of call-1. The server has answered nothing since its start.\n"
        )
        self.stand.decisions.add(decision("right", status=200))
        ended = yield self.sipframe("why")
        at = local_time(1.5e9)
        everything = f"The server remembers everything since its start: 1 answer, the first at {at}."
        assert (ended.returncode, ended.stdout) == (1, f"No request was refused. {everything}\n")
        ended = yield self.sipframe("why", "--all")
        assert ended.returncode == 0
        for _ in range(4):
            self.stand.decisions.add(decision())
        ended = yield self.sipframe("why", "\x1b[31m@localhost", "--json")
        assert (ended.returncode, ended.stdout) == (1, "")
        remembered = f"The server remembers its last 3 answers, since {at}, and 1 refusal from before."
        assert ended.stderr == f"Nothing is known of \\x1b[31m@localhost. {remembered}\n"

    @inlineCallbacks
    def test_a_server_that_keeps_nothing(self) -> Steps:
        yield self.server.stop()
        self.stand.decisions = Stand(self.state, 0).decisions
        self.server.start()
        ended = yield self.sipframe("why")
        assert ended.stdout == "No request was refused. This server keeps no record of its answers.\n"

    @inlineCallbacks
    def test_following(self) -> Steps:
        self.stand.decisions.add(decision("before"))
        following = Following(self.state, "bob@localhost")
        said = yield deferToThread(following.wait_until_live)
        assert said == "Waiting for more; an interrupt (Ctrl-C) ends it.\n"
        self.stand.decisions.add(decision("amy", aor="sip:amy@localhost"))
        self.stand.decisions.add(decision("after", status=200))
        shown = yield deferToThread(lambda: [following.out.readline() for _ in range(9)])
        assert re.findall(r"Call-ID (\w+)", "".join(shown)) == ["before", "after"]
        assert (yield deferToThread(following.end)) == (0, "")

    @inlineCallbacks
    def test_following_until_the_server_stops(self) -> Steps:
        following = Following(self.state, "--json", "-n", "0")
        yield deferToThread(following.wait_until_live)
        self.stand.decisions.add(decision("after"))
        shown = yield deferToThread(following.out.readline)
        assert json.loads(shown)["call_id"] == "after"
        yield self.server.stop()
        assert (yield deferToThread(following.ended)) == (2, "sipframe: the server has stopped\n")

    @inlineCallbacks
    def test_on_a_terminal(self) -> Steps:
        self.stand.decisions.add(decision())
        shown = yield deferToThread(on_terminal, sipframe("why", "--state", self.state))
        assert "\x1b[1;31m401 Unauthorized\x1b[m" in shown
        assert "wrong digest" in shown

    @inlineCallbacks
    def test_bindings_of_a_server_without_a_file(self) -> Steps:
        assert isinstance(self.stand.location, MemoryStore)
        for name in ("bob", "amy"):
            self.stand.location.replace(f"sip:{name}@localhost", (binding(f"sip:{name}@192.0.2.7", 4e9),), 0)
        ended = yield self.sipframe("bindings")
        assert [line.split()[:2] for line in ended.stdout.splitlines()[1:]] == [
            ["sip:amy@localhost", "sip:amy@192.0.2.7"],
            ["sip:bob@localhost", "sip:bob@192.0.2.7"],
        ]
        ended = yield self.sipframe("bindings", "bob@127.0.0.1", "--json")
        found = json.loads(ended.stdout)
        assert (found["aor"], found["contact"], found["path"]) == (
            "sip:bob@localhost",
            "sip:bob@192.0.2.7",
            [],
        )
        ended = yield self.sipframe("bindings", "eve@localhost")
        assert ended.stdout == "No bindings of sip:eve@localhost.\n"
        ended = yield self.sipframe("bindings", "--location", self.state / "gone.sqlite")
        assert ended.returncode == 1
        assert "there is no such file" in ended.stderr
        ended = yield self.sipframe("bindings", "--socket", self.state / "gone.sock")
        assert (ended.returncode, ended.stderr.count("no server answers")) == (2, 1)

    @inlineCallbacks
    def test_counters(self) -> Steps:
        self.stand.counters.datagrams = 7
        ended = yield self.sipframe("counters")
        assert re.search(r"^transport datagrams +7$", ended.stdout, re.MULTILINE)
        ended = yield self.sipframe("counters", "--json")
        assert json.loads(ended.stdout)["transport"]["datagrams"] == 7


def on_terminal(command: list[str]) -> str:
    """What ``command`` shows on a terminal of its own."""
    ours, theirs = pty.openpty()
    try:
        environ = {**os.environ, **UTF_8, "TERM": "xterm", "COLUMNS": "100"}
        environ.pop("NO_COLOR", None)
        process = subprocess.Popen(command, stdout=theirs, env=environ)
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 65_536)
            except OSError:  # how Linux says that nobody is there any more
                data = b""
            if not data:
                break
            shown += data
        process.wait(PATIENCE)
    finally:
        os.close(ours)
    return shown.decode()


def test_no_server_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("why", "counters"):
        assert main([command, "--state", str(tmp_path)]) == 2
        assert capsys.readouterr().err == (
            f"sipframe: no server answers: there is no socket {tmp_path}/admin.sock. "
            "Is it running, is that its --state, and has it an --admin?\n"
        )


@pytest.mark.parametrize("count", ["-1", "x", "1.5", "9" * 20])
def test_no_count(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["why", f"-n={count}"])
    assert caught.value.code == 2
