"""The server as a process: signals, certificates, systemd, restarts, and starts that fail."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from twisted.internet.task import Clock

from sipframe.config import Settings
from sipframe.plugging import Choice
from sipframe.process import ServedProcess, notify
from sipframe.tap import Options
from sipframe.verdicts import Terms
from tests.client import Client, Gone, contacts
from tests.process import EVERY_TRANSPORT, PATIENCE, ServerProcess, add_user, run, sipframe, twistd

UDP = ("udp:0:interface=127.0.0.1",)
TLS = ("tls:0:interface=127.0.0.1",)
CONTACT = "Contact: <sip:bob@192.0.2.7:5060>"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def with_bob(state: Path) -> Path:
    add_user(state, "bob@localhost", "zanzibar")
    return state


def test_no_long_pauses(tmp_path: Path) -> None:
    settings = Settings(domains=("localhost",), state=tmp_path, location=Choice("memory"))
    before = gc.get_threshold()
    frozen = gc.get_freeze_count()
    switching = sys.getswitchinterval()
    try:
        ServedProcess(settings, reactor=Clock()).ready()
        assert sys.getswitchinterval() < switching
        assert gc.get_threshold() != before
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
        sys.setswitchinterval(switching)


# Serving.


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_serves(host: str, with_bob: Path) -> None:
    listen = [f"{transport}:0:interface={host}" for transport in ("udp", "tcp", "tls")]
    with ServerProcess(with_bob, listen=listen) as server:
        for number, transport in enumerate(("udp", "tcp", "tls")):
            with Client.of(server, transport) as client:
                assert client.options() == 200
                response = client.register("wrong", CONTACT, call_id=transport, cseq=1)
                assert response.status == 401
                mine = f"Contact: <sip:bob@192.0.2.7;transport={transport}>"
                response = client.register("zanzibar", mine, call_id=transport, cseq=5)
                assert (response.status, len(response.contacts)) == (200, number + 1)
                assert response.via.received == host or transport != "udp"
    assert "with the self-signed certificate" in server.log


def test_what_is_made_is_for_its_owner_alone(state: Path) -> None:
    with ServerProcess(state, listen=TLS):
        modes = {path.name: path.stat().st_mode & 0o777 for path in (state, *state.iterdir())}
    for name, mode in modes.items():
        assert mode & 0o077 == 0 or name == "certificate.pem", (name, oct(mode))


def test_accounts_of_another_directory(with_bob: Path, tmp_path: Path) -> None:
    state = tmp_path / "another"
    with (
        ServerProcess(state, f"--credentials=sqlite:path={with_bob}", listen=UDP) as server,
        Client.of(server, "udp") as client,
    ):
        assert client.register("zanzibar", CONTACT).status == 200
    assert not (state / "accounts.sqlite").exists()


def test_debug_logs_events(with_bob: Path) -> None:
    with ServerProcess(with_bob, "--log-level=debug", listen=UDP) as server:
        with Client.of(server, "udp") as client:
            assert client.register("zanzibar", CONTACT).status == 200
        server.wait_for("sipframe.registrar.challenged")
        server.wait_for("sipframe.registrar.bound")
    assert "zanzibar" not in server.log
    assert "Digest username" not in server.log


# The end of a process, and the next one.


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_bindings_are_kept(number: signal.Signals, with_bob: Path) -> None:
    with ServerProcess(with_bob, listen=UDP) as server, Client.of(server, "udp") as client:
        assert client.register("zanzibar", CONTACT, "Expires: 3600").status == 200
        assert server.end(number) == -number
    assert ("sipframe has stopped" in server.log) == (number != signal.SIGKILL)
    with ServerProcess(with_bob, listen=UDP) as server, Client.of(server, "udp") as client:
        fetched = client.register("zanzibar", call_id="another")
        assert contacts(fetched) == ["sip:bob@192.0.2.7:5060"]
        removed = client.register("zanzibar", "Contact: *", "Expires: 0", call_id="another", cseq=3)
        assert (removed.status, contacts(removed)) == (200, [])
    assert server.log.count("1 bindings in") == 1


def test_memory_forgets(with_bob: Path) -> None:
    for _ in range(2):
        with (
            ServerProcess(with_bob, "--location=memory", listen=UDP) as server,
            Client.of(server, "udp") as client,
        ):
            assert contacts(client.register("zanzibar")) == []
            assert client.register("zanzibar", CONTACT, call_id="new").status == 200
    assert not list(with_bob.glob("location*"))


def test_connections_end_with_the_server(state: Path) -> None:
    with ServerProcess(state) as server, Client.of(server, "tcp") as tcp, Client.of(server, "tls") as tls:
        assert (tcp.options(), tls.options()) == (200, 200)
        server.send_signal(signal.SIGTERM)
        for client in (tcp, tls):
            with pytest.raises(Gone):
                client.receive()
        assert server.wait() == -signal.SIGTERM
    assert "sipframe has stopped" in server.log


def test_accounts_change_under_a_server(state: Path) -> None:
    with ServerProcess(state, "--realm=Biloxi", listen=UDP) as server, Client.of(server, "udp") as client:
        add_user(state, "bob@localhost", "zanzibar")
        assert client.register("zanzibar", CONTACT).status == 200


# systemd.


def test_notify_socket(state: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        with ServerProcess(state, listen=UDP, environ={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            assert manager.recv(100) == b"READY=1"
            server.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert server.wait() == -signal.SIGTERM


def test_notify_by_an_abstract_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{tmp_path}")
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}")
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("path", ["", "relative", "/nowhere/at/all", "vsock:2:1"])
def test_notify_where_nobody_listens(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    notify("READY=1")


# Certificates.


class Certificate:
    """A certificate and its key in two files, made anew when asked."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.chain, self.key, self.trust = folder / "chain.pem", folder / "key.pem", folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.trust)
        self.renew()

    def renew(self) -> None:
        made = self.authority.issue_cert("localhost")
        self._write(self.key, made.private_key_pem.bytes())
        self._write(self.chain, b"".join(blob.bytes() for blob in made.cert_chain_pems))

    def spoil(self) -> None:
        self._write(self.chain, b"garbage")

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        path.with_suffix(".new").write_bytes(data)
        path.with_suffix(".new").rename(path)

    @property
    def options(self) -> tuple[str, ...]:
        return (f"--certificate={self.chain}", f"--private-key={self.key}")

    def connect(self, server: ServerProcess) -> Client:
        return Client("tls", server.address("tls"), trust=self.trust)


def shown_to(client: Client) -> bytes | None:
    """The certificate that the server showed."""
    assert isinstance(client.socket, ssl.SSLSocket)
    return client.socket.getpeercert(binary_form=True)


def test_a_hang_up_takes_new_certificates_into_use(state: Path, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    with (
        ServerProcess(state, *certificate.options, listen=TLS, with_errors=True) as server,
        certificate.connect(server) as before,
    ):
        assert before.options() == 200
        certificate.renew()
        server.send_signal(signal.SIGHUP)
        server.wait_for("settings are taken into use; changed: none")
        with certificate.connect(server) as after:
            assert after.options() == 200
            assert shown_to(after) != shown_to(before)
            assert before.options() == 200  # it goes on

            certificate.spoil()
            server.send_signal(signal.SIGHUP)
            server.wait_for(f"not reloaded, everything stays as it is: TLS: {certificate.chain}")
            with certificate.connect(server) as still:
                assert still.options() == 200
                assert shown_to(still) == shown_to(after)
        assert before.options() == 200
    assert "Traceback" not in server.log
    assert "self-signed" not in server.log


def test_a_hang_up_without_tls_is_harmless(state: Path) -> None:
    with ServerProcess(state, listen=UDP) as server, Client.of(server, "udp") as client:
        server.send_signal(signal.SIGHUP)
        assert client.options() == 200


# Settings.


def test_a_hang_up_reads_the_configuration_again(state: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "sipframe.toml", tmp_path / "other"
    other.mkdir()
    add_user(state, "bob@localhost", "zanzibar")
    add_user(other, "bob@localhost", "lagos")
    file.write_text("")
    with (
        ServerProcess(state, f"--config={file}", listen=UDP, with_errors=True) as server,
        Client.of(server, "udp") as client,
    ):
        binding = ("Contact: <sip:bob@192.0.2.4>;expires=120",)
        assert client.register("zanzibar", *binding).status == 200

        # Better is the enemy: one thing is right and another is not, so that nothing changes.
        file.write_text('terms.min-expires = 600\npolicies = ["no-such"]\nrealm = 3\n')
        server.send_signal(signal.SIGHUP)
        server.wait_for(
            f"not reloaded, everything stays as it is: {file}: .*no policy 'no-such'.*realm: 3 is not text"
        )
        assert client.register("zanzibar", *binding, cseq=3).status == 200

        file.write_text(f'realm = "later"\nterms.min-expires = 600\ncredentials = ["sqlite:path={other}"]\n')
        server.send_signal(signal.SIGHUP)
        server.wait_for("settings that wait for the next start: realm")
        assert client.register("zanzibar", *binding, cseq=5).status == 401
        assert client.register("lagos", *binding, cseq=7).status == 423
        assert client.register("lagos", "Contact: <sip:bob@192.0.2.4>;expires=600", cseq=9).status == 200
    assert "Traceback" not in server.log


def test_a_configuration_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "sipframe.toml"
    file.write_text("realm = 3\ncolour = 4\n")
    done = run(twistd("--config", file, "--check-config"))
    assert done.returncode == 1
    assert sorted(line.partition(": ")[2][:12] for line in done.stderr.splitlines()) == [
        "realm: 3 is ",
        "there is no ",
    ]
    file.write_text('realm = "Biloxi"\n')
    done = run(twistd("--config", file, "--check-config"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "sipregistrar: nothing is wrong with it\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["sipframe.toml"]


def test_the_command_line_counts_before_the_file(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "sipframe.toml"
    file.write_text(f'state = "{state}"\ndomains = ["example.com"]\nterms.min-expires = 600\nrealm = "x"\n')
    options = Options()
    options.parseOptions(["--config", str(file), "--domain", "example.net", "--max-expires", "9000"])
    assert options.settings is not None
    assert options.settings.domains == ("example.net",)
    assert options.settings.terms == Terms(min_expires=600, max_expires=9000)
    assert (options.settings.state, options.settings.realm) == (state, "x")


# Starts that fail: one line, status 1, nothing listens.


def refusal(state: Path, *options: str | Path) -> str:
    # Sockets that opened before the one that could not are closed by the end of the process, as Python ends.
    done = run(twistd("--state", state, *options, leaks="ignore"))
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("sipregistrar: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "is ready" not in done.stdout
    return done.stderr


@pytest.mark.parametrize(("kind", "transport"), [(socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")])
def test_a_port_in_use(kind: socket.SocketKind, transport: str, state: Path) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        listen = f"{transport}:{taken.getsockname()[1]}:interface=127.0.0.1"
        line = refusal(state, f"--listen={UDP[0]}", f"--listen={listen}")
    assert line == f"sipregistrar: --listen {listen}: address already in use\n"


def test_an_address_that_is_not_ours(state: Path) -> None:
    assert "cannot assign" in refusal(state, "--listen=tcp:0:interface=192.0.2.1")


def test_a_second_server_on_one_state_directory(state: Path) -> None:
    with ServerProcess(state, listen=UDP) as server, Client.of(server, "udp") as client:
        assert str(state) in refusal(state, f"--listen={UDP[0]}")
        assert client.options() == 200


def test_a_key_of_another_certificate(state: Path, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    other = trustme.CA().issue_cert("localhost")
    certificate.key.write_bytes(other.private_key_pem.bytes())
    line = refusal(state, f"--listen={TLS[0]}", *certificate.options)
    assert "the private key is not that of the certificate" in line


@pytest.mark.parametrize("which", ["chain", "key", "trust"])
def test_a_file_that_is_no_pem(which: str, state: Path, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    path: Path = getattr(certificate, which)
    path.write_bytes(b"\0" * 1000)
    line = refusal(state, f"--listen={TLS[0]}", *certificate.options, f"--client-ca={certificate.trust}")
    assert str(path) in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(state: Path, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    certificate.key.chmod(0)
    assert "Permission denied" in refusal(state, f"--listen={TLS[0]}", *certificate.options)


def test_a_directory_for_a_certificate(state: Path, tmp_path: Path) -> None:
    options = (f"--certificate={tmp_path}", f"--private-key={tmp_path}")
    assert "s a directory" in refusal(state, f"--listen={TLS[0]}", *options)


@pytest.mark.parametrize("name", ["location.sqlite", "accounts.sqlite"])
def test_a_damaged_database(name: str, with_bob: Path) -> None:
    with ServerProcess(with_bob, listen=UDP):
        pass
    assert (with_bob / name).exists()
    for journal in with_bob.glob(f"{name}-*"):
        journal.unlink()
    (with_bob / name).write_bytes(b"This is no database. " * 400)
    assert str(with_bob / name) in refusal(with_bob, f"--listen={UDP[0]}")
    assert (with_bob / name).read_bytes().startswith(b"This is no database.")


@pytest.mark.parametrize("name", ["location.sqlite", "accounts.sqlite"])
def test_a_database_of_a_newer_version(name: str, with_bob: Path) -> None:
    with ServerProcess(with_bob, listen=UDP):
        pass
    connection = sqlite3.connect(with_bob / name)
    connection.execute("PRAGMA user_version = 1000")
    connection.close()
    line = refusal(with_bob, f"--listen={UDP[0]}")
    assert str(with_bob / name) in line
    assert "newer" in line


def test_a_state_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"--state {tmp_path / 'file'}" in refusal(tmp_path / "file", f"--listen={UDP[0]}")
    assert "--state" in refusal(tmp_path / "file" / "below", f"--listen={UDP[0]}")


def test_an_alias_of_nothing(state: Path) -> None:
    assert "'example.net'" in refusal(state, f"--listen={UDP[0]}", "--alias=example.com=example.net")


def test_a_start_that_fails_leaves_nothing_locked(state: Path) -> None:
    refusal(state, "--listen=tcp:0:interface=192.0.2.1")
    with ServerProcess(state, listen=EVERY_TRANSPORT) as server, Client.of(server, "tcp") as client:
        assert client.options() == 200
    done = run(sipframe("bindings", "--state", state))
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "given"), [(64, 512, 300, 300), (64, 512, 900, 512), (400, 512, 300, 400)]
)
def test_the_limit_on_open_files_is_raised_as_far_as_it_goes(
    soft: int, hard: int, wanted: int, given: int
) -> None:
    code = (
        "import resource; from sipframe.process import allow_files; limit = resource.RLIMIT_NOFILE; "
        f"resource.setrlimit(limit, ({soft}, {hard})); allow_files({wanted}); print(*resource.getrlimit(limit))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(given), str(hard)]
