"""The client's side, against servers that are none, or no good ones."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from sipframe.admin.client import BrokenOff, NoServer, Refused, ask
from sipframe.admin.path import reachable
from tests.admin.test_path import deep
from tests.process import PATIENCE


class Liar:
    """Listens at ``path`` and says the same to everyone, once it has been asked."""

    def __init__(self, path: Path, says: bytes) -> None:
        self.heard = b""
        self._says = says
        self._listening = socket.socket(socket.AF_UNIX)
        with reachable(path) as (address, _):
            self._listening.bind(address)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        self._listening.settimeout(PATIENCE)
        accepted, _ = self._listening.accept()
        with accepted:
            accepted.settimeout(PATIENCE)
            self.heard = accepted.recv(65_536)
            try:
                accepted.sendall(self._says)
            except ConnectionError:
                pass

    def __enter__(self) -> Liar:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join(PATIENCE)
        self._listening.close()


def asked(path: Path, says: bytes) -> list[tuple[str, object]]:
    with Liar(path, says):
        return list(ask(path, "why", patience=PATIENCE))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return deep(tmp_path) / "admin.sock"


def test_what_is_asked_and_answered(path: Path) -> None:
    with Liar(path, b'{"item":1}\n{"end":{}}\n{"item":2}\n') as liar:
        assert list(ask(path, "why", {"aor": "sip:caf\udce9@x", "most": 1})) == [("item", 1), ("end", {})]
    assert liar.heard == b'{"version":1,"command":"why","aor":"sip:caf\\udce9@x","most":1}\n'


def test_a_watch_ends_with_the_server(path: Path) -> None:
    assert asked(path, b'{"live":{}}\n{"item":1}\n') == [("live", {}), ("item", 1)]


def test_a_refusal(path: Path) -> None:
    with pytest.raises(Refused, match="too many") as caught:
        asked(path, b'{"error":{"kind":"busy","text":"too many"}}\n')
    assert caught.value.kind == "busy"


@pytest.mark.parametrize("says", [b"", b'{"item":1}\n', b'{"item"', b'{"live":{}}\n{"item"'])
def test_an_answer_without_an_end(path: Path, says: bytes) -> None:
    with pytest.raises(BrokenOff, match="broke off"):
        asked(path, says)


@pytest.mark.parametrize(
    "says",
    [b"\n", b"HTTP/1.1 400 Bad Request\r\n", b"{}\n", b'{"a":1,"b":2}\n', b'{"error":"x"}\n', b"[1]\n"],
)
def test_something_else_listens_there(path: Path, says: bytes) -> None:
    with pytest.raises(BrokenOff, match="does not speak the admin protocol"):
        asked(path, says)


def test_a_server_that_says_nothing(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        with reachable(path) as (address, _):
            listening.bind(address)
        listening.listen()
        with pytest.raises(BrokenOff, match="too long"):
            list(ask(path, "why", patience=0.05))


def test_there_is_no_socket(tmp_path: Path) -> None:
    with pytest.raises(NoServer, match="there is no socket"):
        list(ask(tmp_path / "admin.sock", "why"))
    with pytest.raises(NoServer, match="there is no socket"):
        list(ask(tmp_path / "gone" / "admin.sock", "why"))


def test_a_file_that_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoServer, match="file is no socket"):
        list(ask(tmp_path / "file", "why"))


def test_a_socket_that_a_dead_server_left(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left, reachable(path) as (address, _):
        left.bind(address)
    with pytest.raises(NoServer, match="nobody listens at"):
        list(ask(path, "why"))


@pytest.mark.parametrize(
    ("name", "why"), [("s" * 150, "choose a shorter one"), ("file/x", "not a directory")]
)
def test_a_path_that_cannot_be_one(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoServer, match=why):
        list(ask(tmp_path / name, "why"))
