"""``sipframe check``, a process of its own, against our server and against Kamailio, over real sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.interop.accounts import import_accounts
from tests.interop.kamailio import KamailioProcess
from tests.process import PATIENCE, ServerProcess, run, sipframe

PASSWORDS = {"alice": "secret-a", "bob": "secret-b"}
FULL_DIGEST = "--auth=digest:algorithms=SHA-512-256,SHA-256,MD5:qop=auth,auth-int"
PATIENT = "--timeout=120"
"""Seconds for a check: a bound against hanging, measured by no test. What must stay silent waits no longer for it."""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The options that name two users and their passwords."""
    for name, password in PASSWORDS.items():
        (tmp_path / name).write_text(password, encoding="ascii")
    first = ["--user=alice", "--aor=alice@localhost", f"--password-file={tmp_path / 'alice'}"]
    return [*first, "--second-user=bob", f"--second-password-file={tmp_path / 'bob'}", PATIENT]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    state = tmp_path / "state"
    import_accounts(state, PASSWORDS)
    with ServerProcess(state, FULL_DIGEST) as served:
        yield served


def check(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """``sipframe check`` to its end."""
    return subprocess.run(
        sipframe("check", *arguments),
        env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "140", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=5 * PATIENCE,
    )


def at(server: ServerProcess, transport: str) -> list[str]:
    host, port = server.address(transport)
    trusting = [f"--ca-file={server.certificate}"] if transport == "tls" else []
    return [f"{host}:{port}", f"--transport={transport}", *trusting]


def failures(found: Any) -> dict[str, str]:
    return {one["id"]: one["reason"] for one in found["checks"] if one["outcome"] == "failed"}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_our_server_scores_full_marks(
    server: ServerProcess, words: list[str], tmp_path: Path, transport: str
) -> None:
    report = tmp_path / "report.xml"
    done = check(*at(server, transport), *words, "--json", f"--junit={report}")
    assert done.stderr == ""
    [found] = json.loads(done.stdout)["transports"]
    assert failures(found) == {}
    assert found["points"] == found["possible"] > 190
    skipped = {one["id"] for one in found["checks"] if one["outcome"] == "skipped"}
    assert skipped == {"digest.no-downgrade"}
    assert done.returncode == 0
    [suite] = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == (str(len(found["checks"])), "0")
    listed = run(sipframe("bindings", "--json", "--state", server.state))
    assert listed.stdout == ""


def test_what_a_person_sees(server: ServerProcess, words: list[str]) -> None:
    done = check(*at(server, "tcp"), *words, "--only=flow", "--only=tls.version")
    assert (done.returncode, done.stderr) == (0, "")
    assert "flow.cancel        MUST    ✔   Contact: * with Expires: 0 removes every binding.\n" in done.stdout
    score = "TCP: 11 of 11 points (MUST 5 of 5, SHOULD 1 of 1, 0 skipped): conforms\n"
    assert score in done.stdout
    assert "tls.version" not in done.stdout


def test_a_failure_shows_its_ladder(server: ServerProcess, words: list[str], tmp_path: Path) -> None:
    """What goes wrong is the second user's password; the server is right."""
    (tmp_path / "bob").write_text("not bob's password", encoding="ascii")
    done = check(*at(server, "udp"), *words, "--only=digest.second-user")
    assert (done.returncode, done.stderr) == (1, "")
    assert "digest.second-user over UDP (MUST, RFC 3261 10.3 step 4)" in done.stdout
    assert "the second user's REGISTER for our AOR is answered 401 Unauthorized, not 403" in done.stdout
    assert "Digest SHA-512-256 as bob, nc 1" in done.stdout


def test_a_certificate_that_is_not_trusted_is_one_line(server: ServerProcess, words: list[str]) -> None:
    host, port = server.address("tls")
    done = check(f"{host}:{port}", "--transport=tls", *words)
    reason = "its certificate is not signed by an authority that is trusted here"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sipframe: tls:{host}:{port}: {reason}\n"


def test_insecure_leaves_out_what_it_cannot_say(server: ServerProcess, words: list[str]) -> None:
    host, port = server.address("tls")
    done = check(f"{host}:{port}", "--transport=tls", *words, "--insecure", "--only=tls", "--json")
    [found] = json.loads(done.stdout)["transports"]
    assert [one["id"] for one in found["checks"] if one["outcome"] == "skipped"] == ["tls.trusted"]
    assert done.returncode == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_dead_server_is_one_line(words: list[str], transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as bound:  # held, and closed: nobody gets the port meanwhile
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        if transport == "udp":
            bound.connect(("127.0.0.1", 9))  # takes datagrams from there only
        done = check(f"127.0.0.1:{port}", f"--transport={transport}", *words)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"sipframe: {transport}:127.0.0.1:{port}: nobody listens there")


def test_kamailio(tmp_path: Path, words: list[str]) -> None:
    with KamailioProcess(tmp_path / "kamailio", PASSWORDS) as kamailio:
        where = [f"127.0.0.1:{kamailio.port}", f"--tls-port={kamailio.tls_port}", "--transport=all"]
        groups = ["--only=flow", "--only=tls", "--only=stream", "--only=digest.md5", "--json"]
        done = check(*where, *words, *groups, f"--ca-file={kamailio.authority}")
    found = json.loads(done.stdout)["transports"]
    assert [one["transport"] for one in found] == ["UDP", "TCP", "TLS"]
    assert [failures(one) for one in found] == [{}, {}, {}]
    assert (done.returncode, done.stderr) == (0, "")
