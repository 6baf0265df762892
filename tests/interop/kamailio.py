"""Kamailio as a registrar of ``localhost``, in a process of its own, with users of ours."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from tests.process import PATIENCE
from tests.tools import require_tool

__all__ = ["KamailioProcess"]

_CONFIGURATION = Path(__file__).with_name("kamailio.cfg")
_READY = "kamailio is ready"
_TLS = """\
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
certificate = {folder}/certificate.pem
private_key = {folder}/key.pem
"""


class KamailioProcess:
    """From its ready line to its end; a context manager. ``folder`` is new, and its own; skips without Kamailio."""

    def __init__(self, folder: Path, passwords: Mapping[str, str]) -> None:
        program = require_tool("kamailio")
        self.authority = folder / "authority.pem"
        """Who has signed its certificate."""
        folder.mkdir(parents=True)
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(self.authority)
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(folder / "certificate.pem", append=True)
        (folder / "tls.cfg").write_text(_TLS.format(folder=folder), encoding="utf-8")
        users = folder / "users"
        users.mkdir()
        (users / "version").write_text(
            "id(int,auto) table_name(string) table_version(int)\n0:subscriber:7\n", encoding="utf-8"
        )
        rows = [f"{row}:{name}:localhost:{word}\n" for row, (name, word) in enumerate(passwords.items())]
        columns = "id(int,auto) username(string) domain(string) password(string)\n"
        (users / "subscriber").write_text("".join([columns, *rows]), encoding="utf-8")
        self.port, self.tls_port = _unused_ports(2)
        text = _CONFIGURATION.read_text(encoding="utf-8")
        filled = {"PORT": str(self.port), "TLSPORT": str(self.tls_port), "FOLDER": str(folder)}
        text = re.sub(r"@(\w+)@", lambda match: filled[match[1]], text)
        (folder / "kamailio.cfg").write_text(text, encoding="utf-8")
        small = ["-m", "32", "-M", "8"]  # MiB of memory, shared and for each process
        files = ["-Y", str(folder), "-P", str(folder / "pid"), "-f", str(folder / "kamailio.cfg")]
        self._lines: list[str] = []
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [program, "-DD", "-E", *small, *files],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(PATIENCE) or _READY not in self.log:
            self.end()
            raise AssertionError(f"Kamailio does not start:\n{self.log}")

    @property
    def log(self) -> str:
        return "".join(self._lines)

    def end(self) -> None:
        """End it and all its workers."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"Kamailio does not end:\n{self.log}") from None
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as out:
            for line in out:
                self._lines.append(line)
                if _READY in line:
                    self._ready.set()
        self._ready.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _unused_ports(number: int) -> list[int]:
    """Ports of loopback that nobody has now, by UDP and by TCP; Kamailio cannot choose any by itself."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < number:
            stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held += [stream, datagrams]
            stream.bind(("127.0.0.1", 0))
            port = int(stream.getsockname()[1])
            try:
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    finally:
        for one in held:
            one.close()
    return found
