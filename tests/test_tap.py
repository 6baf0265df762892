"""The command line: options as settings, and one line for each that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from sipframe.config import DEFAULT_LISTEN, LOOPBACK_ALIASES, Settings
from sipframe.plugging import Choice
from sipframe.proxy import ProxySettings
from sipframe.tap import Options
from sipframe.transport import CertificateFiles, ListenAddress, self_signed
from sipframe.verdicts import Terms
from tests.process import EVERY_TRANSPORT, run, twistd


def settings(*arguments: str) -> Settings:
    options = Options()
    options.parseOptions(list(arguments))
    assert options.settings is not None
    return options.settings


def refusal(*arguments: str) -> str:
    """The one line that the process ends with; sys.exit prints it and makes the status 1."""
    with pytest.raises(SystemExit) as caught:
        settings(*arguments)
    line = caught.value.code
    assert isinstance(line, str)
    assert line.isprintable(), line
    assert line.startswith("sipregistrar: ")
    return line.removeprefix("sipregistrar: ")


def test_no_options_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    made = settings()
    assert made == Settings(state=tmp_path / ".local" / "state" / "sipframe")
    assert [str(one) for one in made.listen] == [
        "udp:5060:interface=127.0.0.1",
        "tcp:5060:interface=127.0.0.1",
        "tls:5061:interface=127.0.0.1",
    ]
    assert made.domains == ("localhost",)
    assert made.aliases == LOOPBACK_ALIASES
    assert made.location == Choice("sqlite")
    assert (made.realm, made.certificates, made.client_ca) == (None, (), None)


def test_the_state_directory_of_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert settings().state == tmp_path / "sipframe"


def test_every_option(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.pem", "a.key", "b.pem", "b.key", "ca.pem")]
    for path in files:
        path.touch()
    a, a_key, b, b_key, ca = map(str, files)
    made = settings(
        *("--state", "/var/lib/sip", "--realm", "Biloxi", "--location", "sqlite:path=/x/y:durability=power"),
        *("--credentials", "sqlite:path=/x/accounts"),
        *("--listen", "udp:5070", "--listen", "tls:5071:interface=[::1]"),
        *("--domain", "biloxi.example.com", "--domain", "example.net", "--alias", "192.0.2.1=example.net"),
        *("--certificate", a, "--private-key", a_key, "--certificate", b, "--private-key", b_key),
        *("--client-ca", ca, "--digest", "SHA-256,MD5", "--max-contacts", "3"),
        *("--default-expires", "600", "--min-expires", "30", "--max-expires", "900"),
        *("--t1", "0.1", "--plugin-deadline", "2", "--stop-deadline", "1.5", "--log-level", "debug"),
    )
    assert made.state == Path("/var/lib/sip")
    assert made.realm == "Biloxi"
    assert made.location == Choice("sqlite", {"path": "/x/y", "durability": "power"})
    assert made.credentials == (Choice("sqlite", {"path": "/x/accounts"}),)
    assert made.listen == (ListenAddress("udp", 5070), ListenAddress("tls", 5071, "::1"))
    assert made.domains == ("biloxi.example.com", "example.net")
    assert made.aliases == {"192.0.2.1": "example.net"}
    assert made.certificates == (CertificateFiles(files[0], files[1]), CertificateFiles(files[2], files[3]))
    assert made.client_ca == files[4]
    assert made.authenticators == (Choice("digest", {"algorithms": "SHA-256,MD5"}),)
    assert made.terms == Terms(default_expires=600, min_expires=30, max_expires=900, max_contacts=3)
    assert made.transactions.timers.t1 == 0.1
    assert (made.plug_ins.deadline, made.stop_deadline) == (2, 1.5)


def test_digest_presets() -> None:
    assert settings("--digest", "compatible").authenticators == (Choice("digest"),)
    (strict,) = settings("--digest", "strict").authenticators
    assert strict.arguments == {"algorithms": "SHA-256,SHA-512-256", "legacy-without-qop": "no"}
    both = settings("--auth", "digest:opaque=x", "--digest", "MD5").authenticators
    assert both == (Choice("digest", {"opaque": "x", "algorithms": "MD5"}),)


def test_options_of_the_proxy() -> None:
    assert settings().proxy == ProxySettings()
    made = settings(
        *("--strangers", "authenticate", "--record-route", "no"),
        *("--relay-to", "corp.example.org", "--relay-to", "LAB.example.org"),
    )
    assert made.proxy == ProxySettings(
        strangers="authenticate", record_route=False, relay_to=("corp.example.org", "LAB.example.org")
    )
    assert not settings("--no-proxy").proxy.enabled


def test_options_of_the_proxy_leave_alone_what_the_file_says_besides(tmp_path: Path) -> None:
    file = tmp_path / "sipframe.toml"
    file.write_text("[proxy]\nrecurse = true\nstrangers = 'refuse'\nrelay-to = ['lab.example.org']\n")
    told = ProxySettings(recurse=True, strangers="refuse", relay_to=("lab.example.org",))
    assert settings("--config", str(file)).proxy == told
    given = settings("--config", str(file), "--strangers", "pass", "--no-proxy").proxy
    assert given == attrs.evolve(told, strangers="pass", enabled=False)


def test_loopback_addresses_name_the_default_domain_only() -> None:
    assert settings("--alias", "pc=localhost").aliases == {**LOOPBACK_ALIASES, "pc": "localhost"}
    assert settings("--domain", "example.com").aliases == {}
    assert settings().listen == DEFAULT_LISTEN


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        ("--listen udp", "--listen 'udp'"),
        ("--listen udp:5060x", "--listen 'udp:5060x'"),
        ("--listen sctp:5060", "udp, tcp or tls"),
        ("--listen tcp:70000", "0 to 65535"),
        ("--listen tcp:5060:interface=localhost", "numeric"),
        ("--listen tcp:5060:port=1", "interface=ADDRESS"),
        ("--location redis", "only memory, sqlite"),
        ("--credentials ldap", "sqlite"),
        ("--credentials sqlite:file=x", "known: path"),
        ("--credentials sqlite:path=", "a path"),
        ("--location sqlite:path", "KEY=VALUE"),
        ("--location sqlite:path=", "a path"),
        ("--location memory:path=x", "it takes none"),
        ("--location sqlite:durability=maybe", "durability"),
        ("--certificate setup.cfg", "as many --private-key"),
        ("--private-key setup.cfg", "as many --private-key"),
        ("--certificate no.pem --private-key setup.cfg", "--certificate no.pem: no such file"),
        ("--certificate setup.cfg --private-key no.key", "--private-key no.key: no such file"),
        ("--client-ca no.pem", "--client-ca no.pem: no such file"),
        ("--min-expires 100 --default-expires 10", "min-expires <= default-expires"),
        ("--default-expires 9000", "max-expires"),
        ("--max-expires 4294967296", "2**32"),
        ("--min-expires 0", "min-expires"),
        ("--default-expires 1.5", "--default-expires '1.5'"),
        ("--max-contacts 0", "max-contacts"),
        ("--max-contacts many", "--max-contacts 'many'"),
        (
            "--service-route <sip:edge.example.com>",
            "--service-route: '<sip:edge.example.com>' has no lr in its URI",
        ),
        ("--t1 0", "--t1 '0'"),
        ("--t1 nan", "--t1 'nan'"),
        ("--t1 inf", "--t1 'inf'"),
        ("--t1 soon", "--t1 'soon'"),
        ("--plugin-deadline 0", "--plugin-deadline"),
        ("--stop-deadline -1", "--stop-deadline"),
        ("--digest ROT13", "algorithms"),
        ("--digest MD5,MD5", "twice"),
        ("--digest=", "algorithms"),
        ("--digest strict --auth trusted:networks=192.0.2.0/24", "--digest: there is no digest among --auth"),
        ("--strangers maybe", "--strangers 'maybe': one of pass, authenticate, refuse"),
        ("--record-route maybe", "--record-route 'maybe'"),
        ("--no-proxy=yes", "--no-proxy"),
        ("--relay-to=", "--relay-to '': no domain name and no address"),
        ("--relay-to sip:corp.example.org", "--relay-to 'sip:corp.example.org': no domain name"),
        ("--log-level loud", "info, debug"),
        ("--domain=", "domains"),
        ("--domain bob@example.com", "domains: 'bob@example.com'"),
        ("--domain example.com:5060", "domains"),
        ("--domain b\xe4r.example", "domains"),
        ("--alias example.com", "HOST=DOMAIN"),
        ("--alias =example.com", "HOST=DOMAIN"),
        ("--alias a;b=localhost", "aliases: 'a;b'"),
        ("--alias a=b", "the alias 'a' names 'b', which is no domain that is served"),
        ("--realm=", "realm"),
        ("--realm=a\r\nb", "realm"),
        ("--realm=a\udcff", "realm"),
        ("--state=", "--state"),
        ("--port 5060", "--port"),
        ("--realm", "--realm"),
        ("5060", "'5060' is no option"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: str, about: str) -> None:
    assert about in refusal(*arguments.split(" "))


def test_checking_tells_all_that_is_missing_or_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "file.toml").write_text(
        "client-ca = 'no.ca'\npeer-ca = 'no.peers'\n"
        "certificates = [{certificate = 'no.pem', private-key = 'no.key'}]\n[aliases]\na = 'b'\n"
    )
    with pytest.raises(SystemExit) as caught:
        settings("--config", str(tmp_path / "file.toml"), "--check-config")
    lines = str(caught.value.code).splitlines()
    assert len(lines) == 5
    assert all(line.startswith("sipregistrar: ") for line in lines)
    assert lines[0].endswith("the alias 'a' names 'b', which is no domain that is served")
    assert [line.partition(": ")[2].partition(" ")[0] for line in lines[1:]] == [
        "--client-ca",
        "peer-ca",
        "--certificate",
        "--private-key",
    ]


def test_checking_looks_into_certificates(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    good, other, old = (tmp_path / name for name in ("good", "other", "old"))
    for path, made in ((good, now), (other, now), (old, now - timedelta(days=20))):
        self_signed(path.with_suffix(".pem"), path.with_suffix(".key"), ["example.com"], made, days=10)

    def check(certificate: Path, key: Path) -> object:
        with pytest.raises(SystemExit) as caught:
            settings("--certificate", str(certificate), "--private-key", str(key), "--check-config")
        return caught.value.code

    assert check(good.with_suffix(".pem"), good.with_suffix(".key")) == 0
    assert "the private key is not that" in str(check(good.with_suffix(".pem"), other.with_suffix(".key")))
    assert "no usable PEM" in str(check(good.with_suffix(".key"), good.with_suffix(".pem")))
    assert "old.pem: it was good until " in str(check(old.with_suffix(".pem"), old.with_suffix(".key")))


def test_a_process_ends_with_it(tmp_path: Path) -> None:
    done = run(twistd("--state", tmp_path / "state", "--listen", "sctp:1", leaks="ignore"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sipregistrar: --listen 'sctp:1'")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_says_why_it_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = twistd("--state", tmp_path / "file", *(f"--listen={one}" for one in EVERY_TRANSPORT))
    command.remove("-n")
    command[command.index("--pidfile=")] = f"--pidfile={tmp_path / 'pid'}"
    command.insert(command.index("sipregistrar"), f"--logfile={tmp_path / 'log'}")
    done = run(command)
    assert done.returncode == 1
    # twistd cuts it after 100 characters; the log has it all.
    assert "StartError: --state /" in done.stderr
    assert f"--state {tmp_path / 'file'}: it is a file" in (tmp_path / "log").read_text()
    assert not (tmp_path / "pid").exists()
