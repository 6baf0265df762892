"""Fill the table of docs/check.md: run ``sipframe check`` against our server and against Kamailio.

    python -m docs.make_check_results

Both run on loopback in processes of their own, on every transport; Kamailio has to be installed. What stands between
the two marks of the page is written anew. A test compares the rows with the checks there are.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.interop.accounts import import_accounts
from tests.interop.kamailio import KamailioProcess
from tests.process import ServerProcess, sipframe

PAGE = Path(__file__).parent / "check.md"
BEGIN = "<!-- Made by `python -m docs.make_check_results`: -->\n"
END = "<!-- until here. -->\n"
PASSWORDS = {"alice": "secret-a", "bob": "secret-b"}
MARKS = {"passed": "✔", "failed": "✘", "skipped": "·"}
DIGEST = "--auth=digest:algorithms=SHA-512-256,SHA-256,MD5:qop=auth,auth-int"


def results(server: str, *options: str) -> list[dict[str, Any]]:
    """What ``sipframe check`` says of each transport."""
    done = subprocess.run(
        sipframe("check", server, *options, "--json"), capture_output=True, text=True, check=False
    )
    if not done.stdout:
        sys.exit(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)["transports"]
    return found


def measured() -> dict[str, list[dict[str, Any]]]:
    """The results of both servers, by the name of the server."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for user, password in PASSWORDS.items():
            (folder / user).write_text(password, encoding="ascii")
        who = ["--user=alice", "--aor=alice@localhost", f"--password-file={folder / 'alice'}"]
        who += ["--second-user=bob", f"--second-password-file={folder / 'bob'}"]
        import_accounts(folder / "state", PASSWORDS)
        ours: list[dict[str, Any]] = []
        with ServerProcess(folder / "state", DIGEST) as server:
            for transport in ("udp", "tcp", "tls"):
                host, port = server.address(transport)
                trusting = [f"--ca-file={server.certificate}"] if transport == "tls" else []
                ours += results(f"{host}:{port}", f"--transport={transport}", *trusting, *who)
        with KamailioProcess(folder / "kamailio", PASSWORDS) as kamailio:
            where = [f"127.0.0.1:{kamailio.port}", f"--tls-port={kamailio.tls_port}", "--transport=all"]
            theirs = results(*where, f"--ca-file={kamailio.authority}", *who)
    version = subprocess.run(["kamailio", "-v"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"kamailio ([\d.]+)", version)
    return {"sipframe": ours, f"Kamailio {number[1] if number else ''}".strip(): theirs}


def tables(found: Mapping[str, list[dict[str, Any]]]) -> str:
    """The scores, a row for each check, and what each server does instead."""
    columns = [(name, one) for name, reports in found.items() for one in reports]
    lines = ["| | MUST | SHOULD | points |", "|---|---|---|---|"]
    for name, report in columns:
        counts = []
        for level in ("MUST", "SHOULD"):
            counted = [
                one for one in report["checks"] if one["level"] == level and one["outcome"] != "skipped"
            ]
            passed = sum(one["outcome"] == "passed" for one in counted)
            counts.append(f"{passed} of {len(counted)}")
        points = f"{report['points']} of {report['possible']}"
        lines.append(f"| {name}, {report['transport']} | {' | '.join(counts)} | {points} |")
    heads = [
        " ".join([f"{one['transport']}" for one in reports]) + f" of {name}"
        for name, reports in found.items()
    ]
    lines += [
        "",
        f"| check | | what the server has to do | {' | '.join(heads)} |",
        "|---" * (3 + len(heads)) + "|",
    ]
    order: dict[str, dict[str, Any]] = {}
    for name, report in sorted(columns, key=lambda one: one[0] != "sipframe"):
        assert name
        order |= {one["id"]: one for one in report["checks"] if one["id"] not in order}
    for check_id, check in order.items():
        cells = []
        for reports in found.values():
            outcomes = [{one["id"]: one["outcome"] for one in report["checks"]} for report in reports]
            cells.append(
                " ".join([MARKS[one[check_id]] if check_id in one else "  " for one in outcomes]).strip()
            )
        what = f"{check['summary']} ({check['reference']})"
        lines.append(f"| `{check_id}` | {check['level']} | {_cell(what)} | {' | '.join(cells)} |")
    for name, reports in found.items():
        reasons = {
            one["id"]: one["reason"]
            for report in reports
            for one in report["checks"]
            if one["outcome"] == "failed"
        }
        if reasons:
            lines += ["", f"What {name} does instead:", "", "| check | what it does |", "|---|---|"]
            lines += [f"| `{check_id}` | {_cell(reason)} |" for check_id, reason in reasons.items()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def main() -> None:
    """Write the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = tables(measured())
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
