"""Every example runs, and does what it says: copied and started as a person would, on ports that the system chooses."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPDigestAuthHandler, HTTPPasswordMgr, OpenerDirector, build_opener

import pytest

from sipframe.message import Request, parse_message
from sipframe.testing.certificates import certificate_for
from tests.client import Client
from tests.process import PATIENCE, ServerProcess, add_user, run, sipframe, twistd
from tests.tree import ROOT

EXAMPLES = ROOT / "examples"
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build")
LOOPBACK = ("udp:0:interface=127.0.0.1",)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A copy of all examples, with ports that the system chooses, and a directory that is not that slow."""
    copy = tmp_path / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=NOT_COPIED)
    listen = "listen=(ListenAddress('udp', 0, '127.0.0.1'),), domains="
    needed = "from sipframe.transport import ListenAddress\nfrom sipframe.config import Settings\n"
    for name in ("custom_credentials.py", "embed.py", "registrar.tac"):
        path = copy / name
        text = path.read_text(encoding="utf-8").replace("domains=", listen)
        text = text.replace("from sipframe.config import Settings\n", needed)
        path.write_text(text.replace("listenTCP(8080", "listenTCP(0"), encoding="utf-8")
    slow = copy / "slow_directory.py"
    slow.write_text(slow.read_text(encoding="utf-8").replace("delay: float = 2.0", "delay: float = 0.1"))
    return copy


def environment(here: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{here}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}


@contextmanager
def running(command: list[str], here: Path, ready: str = "sipframe is ready") -> Iterator[str]:
    """Run ``command`` beside the examples; gives its log until it was ``ready``."""
    process = subprocess.Popen(
        command,
        cwd=here,
        env={**os.environ, **environment(here)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    log = ""
    try:
        for line in process.stdout:
            log += line
            if ready in line:
                break
        else:
            pytest.fail(log)
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in log + rest, log + rest


def found(pattern: str, log: str) -> int:
    """The number in ``log`` that ``pattern`` has in brackets."""
    match = re.search(pattern, log)
    assert match is not None, log
    return int(match[1])


def udp_port(log: str) -> int:
    return found(r"ready: .*?UDP 127\.0\.0\.1:(\d+)", log)


def register(user: str, password: str, port: int, *more: str) -> tuple[int, str]:
    """``sipframe register``: its exit status, and what it shows."""
    to = f"udp:127.0.0.1:{port}"
    done = run(
        sipframe("register", f"{user}@example.com", "--server", to, "--password-file", "-", *more), password
    )
    return done.returncode, done.stdout + done.stderr


def test_the_readme_has_every_example() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    here = {path.name for path in EXAMPLES.iterdir() if not path.name.startswith((".", "__"))} - {"README.md"}
    assert set(re.findall(r"^\| \[(.*?)\]", readme, re.MULTILINE)) == here


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What type checkers remember."""
    return tmp_path_factory.mktemp("types")


class TestTypes:
    """A type checker that is strict finds nothing in what a user would have: each with the settings beside it."""

    @pytest.fixture
    def as_it_is(self, tmp_path: Path) -> Path:
        """On nobody's path: an example sees what is installed."""
        return shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=NOT_COPIED)

    def checked(self, cache: Path, here: Path, *files: str) -> None:
        pytest.importorskip("mypy")
        pytest.importorskip("mypy_zope")
        done = run([sys.executable, "-m", "mypy", "--cache-dir", str(cache), *files], cwd=here)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_of_examples(self, cache: Path, as_it_is: Path) -> None:
        files = sorted(path.name for path in as_it_is.iterdir() if path.suffix in (".py", ".tac"))
        self.checked(cache, as_it_is, *files)

    def test_of_the_distribution(self, cache: Path, as_it_is: Path) -> None:
        self.checked(cache, as_it_is / "acme-sip")


def test_tests_of_examples_pass(here: Path) -> None:
    files = sorted(
        path.name for path in here.glob("test_*.py")
    )  # those of the distribution need it installed
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def staff(here: Path) -> None:
    (here / "staff.csv").write_text("alice,wonderland\nbob,builder\n")


def registers_staff(port: int) -> None:
    assert register("alice", "wonderland", port)[0] == 0
    assert register("alice", "builder", port)[0] == 1
    assert register("eve", "wonderland", port)[0] == 1


def test_custom_credentials_as_an_object(here: Path) -> None:
    staff(here)
    with running([sys.executable, "custom_credentials.py"], here) as log:
        registers_staff(udp_port(log))


def test_custom_credentials_on_the_command_line(here: Path) -> None:
    staff(here)
    options = ["--credentials", "custom_credentials.Staff:file=staff.csv", "--listen", LOOPBACK[0]]
    with running(twistd("--domain", "example.com", "--state", here / "state", *options), here) as log:
        registers_staff(udp_port(log))


def test_custom_credentials_in_toml(here: Path, tmp_path: Path) -> None:
    staff(here)
    file = here / "staff.toml"
    file.write_text(
        'domains = ["example.com"]\ncredentials = ["custom_credentials.Staff:file=staff.csv"]\n'
        f"listen = {list(LOOPBACK)}\n"
    )
    state = tmp_path / "state"
    with ServerProcess(state, "--config", file, listen=(), environ=environment(here)) as server:
        registers_staff(server.address("udp")[1])


def test_custom_credentials_that_are_wrong(here: Path) -> None:
    for argument, words in {
        "file=none.csv": "none.csv",
        "flie=staff.csv": "there is no argument flie; known: file",
    }.items():
        done = run(
            twistd("--state", here / "state", "--credentials", f"custom_credentials.Staff:{argument}"),
            PYTHONPATH=environment(here)["PYTHONPATH"],
        )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stdout + done.stderr
        assert words in done.stderr


def test_slow_directory(here: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    add_user(state, "desk@example.com", "bell")
    with running([sys.executable, "slow_directory.py", "0"], here, ready="listens on port") as log:
        port = found(r"listens on port (\d+)", log)
        chosen = ("--credentials", "sqlite", "--credentials", f"slow_directory.Directory:port={port}")
        with ServerProcess(
            state, "--domain", "example.com", *chosen, listen=LOOPBACK, environ=environment(here)
        ) as server:
            port = server.address("udp")[1]
            assert register("alice", "wonderland", port)[0] == 0
            assert register("alice", "builder", port)[0] == 1
            assert register("desk", "bell", port)[0] == 0


def answers_message(phone: Client, messages: list[Request]) -> threading.Thread:
    """Have ``phone`` answer the next request, and keep it in ``messages``."""

    def answer() -> None:
        message = parse_message(phone.socket.recv(65_535))
        assert isinstance(message, Request)
        messages.append(message)
        kept = ("via", "from", "to", "call-id", "cseq")
        lines = [line for line in message.lines if line.partition(":")[0].lower() in kept]
        phone.send("\r\n".join(["SIP/2.0 200 Got It", *lines, "Content-Length: 0", "", ""]).encode())

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return thread


def browser(site: str, user: str, password: str) -> OpenerDirector:
    passwords = HTTPPasswordMgr()
    passwords.add_password("example.com", site, user, password)
    return build_opener(HTTPDigestAuthHandler(passwords))


def test_embed(here: Path) -> None:
    (here / "users.txt").write_text("alice:wonderland\nbob:builder\n")
    with running([sys.executable, "embed.py"], here) as log:
        port, web_port = udp_port(log), found(r"Site starting on (\d+)", log)
        site = f"http://127.0.0.1:{web_port}/"
        bob = browser(site, "bob", "builder")
        with bob.open(site) as page:
            assert b"alice" not in page.read()
        with Client("udp", ("127.0.0.1", port), domain="example.com") as phone:
            contact = f"sip:alice@127.0.0.1:{phone.port}"
            assert phone.register("wonderland", f"Contact: <{contact}>", user="alice").status == 200
            with bob.open(site) as page:
                assert b"sip:alice@example.com (1)" in page.read()
            messages: list[Request] = []
            answering = answers_message(phone, messages)
            with bob.open(site, urlencode({"to": "sip:alice@example.com", "text": "Tea?"}).encode()) as page:
                assert page.read().decode() == f"{contact}: 200 Got It\n"
            answering.join(PATIENCE)
            [message] = messages
            assert (message.method, message.body) == ("MESSAGE", b"Tea?")
            assert str(message.from_.uri) == "sip:bob@example.com"
        with bob.open(site, urlencode({"to": "sip:bob@example.com", "text": "Me?"}).encode()) as page:
            assert page.read() == b"nobody is there\n"
        assert register("alice", "builder", port)[0] == 1
        assert register("alice", "wonderland", port, "--remove-all")[0] == 0
        with bob.open(site) as page:
            assert b"alice" not in page.read()
        for opener in (browser(site, "bob", "wonderland"), build_opener()):
            with pytest.raises(OSError, match="401"):
                opener.open(site)
        with pytest.raises(OSError, match="400"):
            bob.open(site, urlencode({"to": "nonsense", "text": "?"}).encode())


def test_tac(here: Path) -> None:
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
    with running([*command, "-y", "registrar.tac"], here) as log:
        port = udp_port(log)
        assert register("alice", "wonderland", port)[0] == 0
        assert register("alice", "wrong", port)[0] == 1


def test_the_readme_shows_the_tac_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert (EXAMPLES / "registrar.tac").read_text(encoding="utf-8").partition("\n")[2] in readme


class TestTOML:
    def checked(self, file: Path) -> None:
        done = run(twistd("--config", file, "--check-config"))
        assert (done.returncode, done.stdout) == (0, "sipregistrar: nothing is wrong with it\n"), done.stderr

    def test_nothing_is_wrong_with_it(self) -> None:
        self.checked(EXAMPLES / "sipframe.toml")

    def test_nor_with_what_it_only_shows(self, here: Path) -> None:
        file = here / "sipframe.toml"
        text, count = re.subn(r"^#(?=[a-z\[])", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count > 10
        file.write_text(text)
        made = certificate_for(("example.com",), here)
        shutil.copy(made.certificate, here / "chain.pem")
        shutil.copy(made.private_key, here / "key.pem")
        self.checked(file)

    def test_it_serves(self, here: Path) -> None:
        file = here / "sipframe.toml"
        text = re.sub(r":506[01]:", ":0:", file.read_text(encoding="utf-8"))
        file.write_text(text, encoding="utf-8")
        with ServerProcess(here / "state", "--config", file, listen=()) as server:
            port = server.address("udp")[1]
            assert register("door", "open-sesame", port, "--expires", "7200")[0] == 0
            code, shown = register("door", "open-sesame", port, "--expires", "30")
            assert (code, "Min-Expires 60" in shown) == (0, True), shown
