"""``sipframe why`` beside a real server that has just refused somebody."""

from __future__ import annotations

import json
from pathlib import Path

from tests.client import Client
from tests.process import ServerProcess, add_user, run, sipframe

UDP = ("udp:0:interface=127.0.0.1",)
CONTACT = "Contact: <sip:bob@192.0.2.7>"


def test_a_wrong_password_is_told_in_words(tmp_path: Path) -> None:
    add_user(tmp_path, "bob@localhost", "zanzibar")
    with ServerProcess(tmp_path, listen=UDP) as server, Client.of(server, "udp") as bob:
        assert bob.register("wrong", CONTACT, call_id="mistyped").status == 401
        assert bob.register("zanzibar", CONTACT, call_id="right", cseq=3).status == 200
        assert bob.register("wrong", CONTACT, user="eve", call_id="stranger").status == 401
        refusals = run(sipframe("why", "--state", tmp_path), PYTHONIOENCODING="utf-8")
        about_call = run(sipframe("why", "right", "--state", tmp_path, "--json"))
        about_bob = run(sipframe("why", "bob@127.0.0.1", "--state", tmp_path, "--json"))
        unknown = run(sipframe("why", "elsewhere", "--state", tmp_path))

    assert (refusals.returncode, refusals.stderr) == (0, "")
    first, second = refusals.stdout.split("\n\n")
    host, port = bob.host, bob.port
    head, where, *steps = first.splitlines()
    assert head.endswith("  REGISTER sip:bob@localhost  →  401 Unauthorized")
    assert where == f"  from UDP {host}:{port} to sip:localhost, Call-ID mistyped, CSeq 2"
    assert steps[-1].startswith("  ▶ DigestAuthenticator.authenticate  Challenge  ")
    assert steps[-1].endswith("s  wrong digest")
    assert "REGISTER sip:eve@localhost" in second
    assert second.rstrip().endswith("s  unknown user")

    found = [json.loads(line) for line in about_call.stdout.splitlines()]
    assert [one["status"] for one in found] == [401, 200]
    assert [one["steps"][-1]["reason"] for one in found][:1] == ["no credentials"]
    assert [json.loads(line)["status"] for line in about_bob.stdout.splitlines()] == [401, 401, 401, 200]
    assert unknown.returncode == 1
    assert unknown.stdout.startswith("Nothing is known of elsewhere. The server remembers everything")
    assert "zanzibar" not in about_bob.stdout + refusals.stdout
