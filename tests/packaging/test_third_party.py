"""A plug-in of a third party, installed with pip into a clean environment, is found by its name and works.

The distribution is examples/acme-sip, as it is.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import Client
from tests.packaging.conftest import PIP, Environment, run
from tests.process import ServerProcess, add_user, twistd
from tests.process import run as run_anyhow
from tests.tree import ROOT

ACME = ROOT / "examples" / "acme-sip"
NOT_SHIPPED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build")
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the distribution's tree."""
    return shutil.copytree(ACME, tmp_path_factory.mktemp("acme") / "tree", ignore=NOT_SHIPPED)


@pytest.fixture(scope="module")
def acme_wheel(tree: Path) -> Path:
    dist = tree.parent / "dist"
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", dist, tree, cwd=dist.parent)
    (built,) = dist.glob("*.whl")
    return built


def uninstall(environment: Environment) -> None:
    pip = (sys.executable, *PIP, "--python", environment.python, "uninstall", "--yes", "acme-sip")
    run(*pip, cwd=environment.elsewhere)


@pytest.fixture(scope="module")
def environment(from_wheel: Environment, acme_wheel: Path) -> Iterator[Environment]:
    """sipframe and the third party's distribution, both from wheels."""
    before = sipframe_files(from_wheel)
    from_wheel.install(acme_wheel)
    yield from_wheel
    uninstall(from_wheel)
    assert sipframe_files(from_wheel) == before


def sipframe_files(environment: Environment) -> list[str]:
    return sorted(str(path) for path in (environment.site_packages / "sipframe").rglob("*.py"))


@pytest.fixture
def dropins(environment: Environment) -> Iterator[Path]:
    """Where files of third parties are; what a test puts there is gone after it."""
    folder = environment.site_packages / "sipframe" / "plugins"
    before = set(folder.iterdir())
    yield folder
    for path in set(folder.iterdir()) - before:
        if path.is_file():
            path.unlink()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


def serving(environment: Environment, state: Path, *options: str | Path) -> ServerProcess:
    """The server of ``environment``, which does not see the tree of this one."""
    return ServerProcess(
        state,
        *options,
        python=environment.python,
        cwd=environment.elsewhere,
        environ={"PYTHONPATH": ""},
    )


def registers_by_ticket(environment: Environment, server: ServerProcess, key: Path) -> None:
    ticket = environment.run("-m", "acme_sip", key, "alice").strip()
    with Client.of(server, "tls") as phone:
        shown = f'Authorization: Acme ticket="{ticket}"'
        contact = "Contact: <sip:alice@127.0.0.1:5062>"
        assert phone.ask(phone.request("REGISTER", contact, shown, user="alice")).status == 200
        assert phone.ask(phone.request("REGISTER", contact, shown, user="bob", cseq=2)).status == 403
        forged = shown[:-2] + ("1" if shown[-2] == "0" else "0") + '"'
        answer = phone.ask(phone.request("REGISTER", contact, forged, user="alice", cseq=3))
        assert answer.status == 401
        assert answer.all("www-authenticate")[0] == 'Acme realm="localhost"'


def registers_by_password(environment: Environment, server: ServerProcess, password_file: Path) -> None:
    host, port = server.address("tls")
    trusting = ("--ca-file", server.certificate, "--password-file", password_file)
    to = ("--server", f"tls:{host}:{port}")
    command = environment.python.parent / "sipframe"
    shown = run(command, "register", "alice@localhost", *to, *trusting, cwd=environment.elsewhere)
    assert "200 OK" in shown


def test_it_is_listed(environment: Environment) -> None:
    shown = environment.twistd("sipregistrar", "--help-auth")
    assert "  acme-ticket\n      Tickets that the ACME site gives to phones; over TLS alone.\n" in shown
    assert "key-file=  the key that tickets are signed with, 16 octets or more. (a path;" in shown
    assert "cannot be imported" not in shown


def test_it_is_served_with(environment: Environment, tmp_path: Path, key: Path) -> None:
    state = tmp_path / "state"
    add_user(state, "alice@localhost", "wonderland")
    (tmp_path / "password").write_text("wonderland")
    chosen = ("--auth", f"acme-ticket:key-file={key}", "--auth", "digest")
    with serving(environment, state, *chosen) as server:
        registers_by_ticket(environment, server, key)
        registers_by_password(environment, server, tmp_path / "password")
        with Client.of(server, "udp") as phone:
            answer = phone.ask(phone.request("REGISTER", user="alice"))
            assert [value[:6] for value in answer.all("www-authenticate")] == ["Digest"]


def test_its_own_tests_pass_on_what_is_installed(environment: Environment, tree: Path) -> None:
    folder = shutil.copytree(tree / "tests", environment.elsewhere / "tests")
    run(environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder, cwd=folder)


BROKEN = {
    "broken_import.py": "import no.such.module\n",
    "broken_quitter.py": "raise SystemExit(3)\n",
    "broken_syntax.py": "plug in = 1\n",
    "broken_target.py": (
        "from sipframe.interfaces import IAuthenticator\nfrom sipframe.plugging import Plugin\n"
        "lost = Plugin(IAuthenticator, 'lost', 'no.such.module.Lost', 'Nowhere.')\n"
    ),
}


class TestBroken:
    """Files of a third party that cannot be imported."""

    @pytest.fixture(autouse=True)
    def broken(self, dropins: Path) -> None:
        for name, text in BROKEN.items():
            (dropins / name).write_text(text)

    def test_they_are_named(self, environment: Environment) -> None:
        shown = environment.twistd("sipregistrar", "--help-auth")
        assert "sipframe.plugins.broken_import cannot be imported: ModuleNotFoundError: No module" in shown
        assert "sipframe.plugins.broken_quitter cannot be imported: SystemExit: 3" in shown
        assert "sipframe.plugins.broken_syntax cannot be imported: SyntaxError: invalid syntax" in shown
        assert "  lost\n      Nowhere.\n      cannot be imported: " in shown
        assert "  acme-ticket\n" in shown

    def test_and_hurt_nobody_else(self, environment: Environment, tmp_path: Path, key: Path) -> None:
        with serving(environment, tmp_path / "state", "--auth", f"acme-ticket:key-file={key}") as server:
            registers_by_ticket(environment, server, key)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("acme-tickets", ["only acme-ticket, ", "sipframe.plugins.broken_import cannot be imported: "]),
            ("lost", ["lost: cannot be imported: "]),
        ],
    )
    def test_who_asks_for_one_is_told(
        self, environment: Environment, tmp_path: Path, name: str, words: list[str]
    ) -> None:
        command = twistd("--state", tmp_path / "state", "--auth", name, python=environment.python)
        done = run_anyhow(command, cwd=environment.elsewhere, PYTHONPATH="")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith("sipregistrar: --auth ")
        assert [one for one in words if one not in done.stderr] == []


def test_beside_an_editable_sipframe(from_editable: Environment, acme_wheel: Path, tree: Path) -> None:
    for their_way in ([acme_wheel], ["--no-build-isolation", "--editable", tree]):
        from_editable.install(*their_way)
        assert "  acme-ticket\n" in from_editable.twistd("sipregistrar", "--help-auth")
