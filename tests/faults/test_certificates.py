"""Certificate files that are replaced by garbage under a server: the old ones stay, and the log says so once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.process import ServerProcess
from tests.test_process import TLS, Certificate, shown_to

STAY = "TLS files not taken into use, the old ones stay"


@pytest.mark.parametrize("which", ["chain", "key"])
def test_garbage_in_the_place_of_a_certificate(which: str, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    settings = tmp_path / "sipframe.toml"
    settings.write_text("certificates-every = 0.1\n", encoding="ascii")
    path: Path = getattr(certificate, which)
    good = path.read_bytes()
    with (
        ServerProcess(
            tmp_path / "state", f"--config={settings}", *certificate.options, listen=TLS, with_errors=True
        ) as server,
        certificate.connect(server) as before,
    ):
        shown = shown_to(before)
        assert before.options() == 200
        path.write_bytes(b"\0garbage" * 1000)
        server.wait_for(f"{STAY}: .*{path}")
        server.send_signal(signal.SIGHUP)
        server.wait_for("not reloaded, everything stays as it is")
        with certificate.connect(server) as still:
            assert still.options() == 200
            assert shown_to(still) == shown
        path.unlink()
        server.wait_for(STAY, 2)
        with certificate.connect(server) as still:
            assert still.options() == 200
        path.write_bytes(good)
        server.wait_for("TLS files taken into use")
        certificate.renew()
        server.wait_for("TLS files taken into use", 2)
        with certificate.connect(server) as after:
            assert after.options() == 200
            assert shown_to(after) != shown
        assert before.options() == 200
        assert server.log.count(STAY) == 2
    assert "Traceback" not in server.log
