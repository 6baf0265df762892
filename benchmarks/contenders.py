"""Servers to be measured side by side: each alone on one core, its CPU time counted with that of all its processes.

Rules: a contender is started with files and ports of its own, for the domain ``example.com`` whose users ``user0`` and
on have the password ``secret``, bindings in memory, and a proxy that stays on the way of calls. Linux only: CPU time is
what the scheduler says of every thread (``/proc/PID/task/TID/schedstat``, ns).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import trustme

__all__ = [
    "CONTENDERS",
    "DOMAIN",
    "PASSWORD",
    "USERS",
    "Place",
    "Server",
    "make_accounts",
    "make_certificates",
    "processor_time",
    "unused_port",
]

DOMAIN = "example.com"
PASSWORD = "secret"
USERS = 1000

_HERE = Path(__file__).resolve().parent
_PATIENCE = 30.0
"""Seconds that a server may take to start, and to stop."""
_TWISTD = "from twisted.scripts.twistd import run; run()"


class Place(NamedTuple):
    """What a server is started with."""

    folder: Path
    """New, and its own."""
    accounts: Path
    """A state directory with the accounts, to be copied."""
    certificate: Path
    private_key: Path
    port: int
    """For UDP and TCP."""
    tls_port: int


def sipframe(place: Place, *options: str) -> list[str]:
    """The command for the server of this repository, as anybody starts it."""
    shutil.copytree(place.accounts, place.folder / "state")
    command = [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "sipregistrar", f"--domain={DOMAIN}"]
    command += [f"--state={place.folder / 'state'}", "--location=memory", "--digest=MD5,SHA-256"]
    command += [f"--certificate={place.certificate}", f"--private-key={place.private_key}"]
    command += [f"--listen={kind}:{place.port}:interface=127.0.0.1" for kind in ("udp", "tcp")]
    return [*command, f"--listen=tls:{place.tls_port}:interface=127.0.0.1", *options]


def slow_sipframe(place: Place) -> list[str]:
    """The same, with a credential source that takes its time."""
    return sipframe(place, "--credentials=slow_source.Slow")


def packaged_kamailio(place: Place) -> list[str]:
    """The command for Kamailio, with the allocator that it has when nobody asks for another."""
    tls = ["[server:default]", "method = TLSv1.2+", "verify_certificate = no", "require_certificate = no"]
    tls += [f"certificate = {place.certificate}", f"private_key = {place.private_key}", ""]
    (place.folder / "tls.cfg").write_text("\n".join(tls), encoding="utf-8")
    filled = {"PORT": str(place.port), "TLSPORT": str(place.tls_port), "FOLDER": str(place.folder)}
    text = (_HERE / "side_by_side" / "kamailio.cfg").read_text(encoding="utf-8")
    text = re.sub(r"@(\w+)@", lambda match: filled[match[1]], text)
    (place.folder / "kamailio.cfg").write_text(text, encoding="utf-8")
    memory = ["-m", "2048", "-M", "32"]  # MiB: shared, and for each process
    files = ["-Y", str(place.folder), "-P", str(place.folder / "pid")]
    return ["kamailio", "-DD", "-E", *memory, *files, "-f", str(place.folder / "kamailio.cfg")]


def kamailio(place: Place) -> list[str]:
    """The same with its fast allocators, for the memory of each process and for the shared one."""
    return [*packaged_kamailio(place), "-x", "fm", "-X", "fm"]


CONTENDERS: dict[str, Callable[[Place], list[str]]] = {
    "kamailio": kamailio,
    "kamailio-packaged": packaged_kamailio,
    "sipframe": sipframe,
    "sipframe-slow": slow_sipframe,
}
_READY = re.compile(r"(?:sipframe|kamailio) is ready")


class Server:
    """A server on core ``core``, from its ready line to its end; a context manager."""

    def __init__(self, name: str, place: Place, core: int) -> None:
        place.folder.mkdir(parents=True, exist_ok=True)
        self.place = place
        command = CONTENDERS[name](place)
        self._log = place.folder / "log"
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_HERE), str(_HERE.parent)])}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                cwd=place.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + _PATIENCE
        while _READY.search(self.log) is None:
            if self._process.poll() is not None or time.monotonic() > until:
                self.end()
                raise RuntimeError(f"{name} does not start:\n{self.log}")
            time.sleep(0.02)

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def processor_time(self) -> float:
        """Seconds of CPU that all its processes have taken."""
        return processor_time(self._process.pid)

    def end(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            _ = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _ = self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def processor_time(pid: int) -> float:
    """Seconds of CPU that a process and its descendants have taken, those threads apart that have ended."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text(errors="replace").rpartition(")")[2].split()[1]
        except OSError:
            continue  # it has ended
        children[int(parent)].append(int(path.parent.name))
    total, left = 0, [pid]
    while left:
        one = left.pop()
        left += children[one]
        for path in Path(f"/proc/{one}/task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def make_accounts(folder: Path) -> Path:
    """A state directory with the accounts, by the command that an operator has for it."""
    listed = folder / "accounts.txt"
    listed.write_text("".join(f"user{n}@{DOMAIN} {PASSWORD}\n" for n in range(USERS)), encoding="ascii")
    state = folder / "accounts"
    command = [
        sys.executable,
        "-m",
        "sipframe.cli.main",
        "user",
        "import",
        str(listed),
        "--state",
        str(state),
    ]
    done = subprocess.run(
        command, cwd=_HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"accounts cannot be made:\n{done.stdout}")
    return state


def make_certificates(folder: Path) -> dict[str, tuple[Path, Path]]:
    """A certificate and its key for ECDSA with P-256, and for RSA with 2048 bits."""
    authority = trustme.CA()
    made: dict[str, tuple[Path, Path]] = {}
    for name, kind in (("ECDSA", trustme.KeyType.ECDSA), ("RSA", trustme.KeyType.RSA)):
        issued = authority.issue_cert(DOMAIN, "127.0.0.1", key_type=kind)
        made[name] = (folder / f"{name}.pem", folder / f"{name}-key.pem")
        issued.cert_chain_pems[0].write_to_path(made[name][0])
        issued.private_key_pem.write_to_path(made[name][1])
    return made


def unused_port() -> int:
    """A port of loopback that nobody has now, neither by UDP nor by TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.bind(("127.0.0.1", 0))
            port = int(stream.getsockname()[1])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                try:
                    datagrams.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
