"""The configuration file: all that settings can say, every mistake at once."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from sipframe.config import Settings
from sipframe.config_file import ConfigurationError, read_configuration
from sipframe.message import Limits
from sipframe.plugging import Choice
from sipframe.proxy import ProxySettings
from sipframe.seams import PluginLimits
from sipframe.transaction import TimerSettings, TransactionSettings
from sipframe.transport import CertificateFiles, ListenAddress, TransportLimits
from sipframe.verdicts import Terms

STATE = Path("/nowhere")


def read(folder: Path, text: str) -> Settings:
    file = folder / "sipframe.toml"
    file.write_text(text, encoding="utf-8")
    return read_configuration(file, STATE)


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text)
    assert str(caught.value).startswith(f"{folder / 'sipframe.toml'}: ")
    return caught.value.mistakes


def test_an_empty_file_is_every_default(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Settings(state=STATE, base=tmp_path)


def test_everything(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        """
        state = "state"
        listen = ["udp:5060", "tls:5061:interface=::1"]
        domains = ["example.com", "example.net"]
        realm = "Biloxi"
        client-ca = "/etc/ca.pem"
        credentials = ["sqlite:path=accounts"]
        policies = [
            "tests.test_plugged.Noting:key=a",
            { use = "tests.test_plugged.Noting", key = "b", name = "c" },
        ]
        stop-deadline = 1.5
        most-waiting = 4
        log-level = "debug"

        [aliases]
        "192.0.2.1" = "example.net"

        [[certificates]]
        certificate = "a.pem"
        private-key = "a.key"

        [location]
        use = "sqlite"
        durability = "power"

        [[authenticators]]
        use = "digest"
        algorithms = ["SHA-256", "MD5"]
        legacy-without-qop = false

        [terms]
        max-expires = 1800
        default-expires = 600

        [transactions]
        max-server-transactions = 9
        timers.t1 = 0.25

        [plug-ins]
        deadline = 2
        in-flight = 3

        [limits]
        connections = 7
        message-sizes.body = 1000
        """,
    )
    # Wherever a path is relative, it begins at the file.
    assert made == Settings(
        state=tmp_path / "state",
        base=tmp_path,
        listen=(ListenAddress("udp", 5060), ListenAddress("tls", 5061, "::1")),
        domains=("example.com", "example.net"),
        aliases={"192.0.2.1": "example.net"},
        realm="Biloxi",
        certificates=(CertificateFiles(tmp_path / "a.pem", tmp_path / "a.key"),),
        client_ca=Path("/etc/ca.pem"),
        credentials=(Choice("sqlite", {"path": "accounts"}),),
        authenticators=(Choice("digest", {"algorithms": ["SHA-256", "MD5"], "legacy-without-qop": False}),),
        location=Choice("sqlite", {"durability": "power"}),
        policies=(
            Choice("tests.test_plugged.Noting", {"key": "a"}),
            Choice("tests.test_plugged.Noting", {"key": "b", "name": "c"}),
        ),
        terms=Terms(max_expires=1800, default_expires=600),
        transactions=TransactionSettings(timers=TimerSettings(t1=0.25), max_server_transactions=9),
        limits=TransportLimits(connections=7, message_sizes=Limits(body=1000)),
        plug_ins=PluginLimits(deadline=2.0, in_flight=3),
        stop_deadline=1.5,
        most_waiting=4,
        log_level="debug",
    )


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """
        domain = ["example.com"]
        realm = 7
        listen = ["udp:5060", "sctp:5060", 5060]
        stop-deadline = -1
        expire-every = "5"
        log-level = "loud"
        domains = ["a b"]
        policies = ["no-such-thing", {key = 1}, "digest"]
        certificates = [{certificate = "a.pem"}, 3]
        location = "memory:path=x"

        [[authenticators]]
        use = "digest"
        algorithms = ["ROT13"]
        nonce-lifetime = "long"

        [terms]
        max-expires = "1h"
        colour = "blue"

        [transactions]
        timers.t1 = "soon"

        [limits]
        connections = 1.5
        """,
    )
    by_place = dict(mistake.partition(": ")[::2] for mistake in found)
    assert by_place["realm"] == "7 is not text"
    assert by_place["listen[1]"].startswith("'sctp:5060'")
    assert by_place["listen[2]"].startswith("5060 is not ")
    assert by_place["stop-deadline"] == "must be more than 0, not -1.0"
    assert by_place["expire-every"] == "'5' is not a number"
    assert by_place["log-level"] == "'loud' is not info or debug"
    assert by_place["domains"] == "'a b' is no domain name and no address"
    assert "no policy 'no-such-thing'" in by_place["policies[0]"]
    assert "'use'" in by_place["policies[1]"]
    assert "no policy 'digest'" in by_place["policies[2]"]
    assert by_place["certificates[0]"] == "private-key must be given"
    assert by_place["certificates[1]"] == "3 is not a table"
    assert "it takes none" in by_place["location"]
    assert by_place["authenticators[0]"].startswith("digest: nonce-lifetime: 'long' is not a number")
    assert by_place["terms.max-expires"] == "'1h' is not a whole number"
    assert by_place["terms"].startswith("there is no 'colour', only default-expires, ")
    assert by_place["transactions.timers.t1"] == "'soon' is not a number"
    assert by_place["limits.connections"] == "1.5 is not a whole number"
    assert any(mistake.startswith("there is no 'domain', only ") for mistake in found)


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("realm = ?", "Invalid value (at line 1"),
        ("a = 1\na = 2", "overwrite"),
        ("[terms]\nmin-expires = 100\ndefault-expires = 10", "min-expires <= default-expires"),
        ("base = '/'", "there is no 'base'"),
        ("terms = 3", "terms: 3 is not a table"),
        ("policies = 'deny'", "policies: 'deny' is not a list"),
        ("location = 3", "location: 3 is not text"),
        ("limits.connections = true", "limits.connections: True is not a whole number"),
        ("aliases = ['a']", "aliases: what is given is not a table"),
        ("aliases.a = 3", "aliases"),
        ("domains = []", "domains: one at least"),
        ("domains = [3]", "domains[0]: 3 is not text"),
        ("realm = ''", "realm: '': must be text, and not empty"),
        ("decisions-kept = -1", "decisions-kept: must be >= 0: -1"),
        ("plug-ins.open-for = 0", "plug-ins.open-for: must be > 0: 0.0"),
        ("limits.idle = 0", "limits.idle: must be more than 0, not 0.0"),
        ("admin = 'no'", "admin: 'no' is a path; write true or false, without quotes"),
        ("admin = 3", "admin: 3 is not true or false or a path"),
    ],
)
def test_what_is_wrong_has_a_place(text: str, about: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, text)
    assert about in mistake


@pytest.mark.parametrize(
    "text",
    [
        "[[credentials]]\nusers = {alice = 'wonderland'}",
        "[[credentials]]\nUse = 'toml'\nusers = {alice = 'wonderland'}",
        "[[credentials]]\nuse = 'toml'\npath = {alice = 'wonderland'}",
        "[[credentials]]\nuse = 'toml'\nusers = [{alice = 'wonderland'}]",
        "credentials = {use = 'toml', users = {alice = 'wonderland'}}",
        "credentials = 'sql:module=sqlite3:connect=postgresql://sip:wonderland@host/db'",
        "credentials = ['sql:module=sqlite3:connect=postgresql://sip:wonderland@host/db']",
    ],
)
def test_no_mistake_tells_a_password(text: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, text)
    assert mistake.startswith("credentials")
    assert "wonderland" not in mistake


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_configuration(tmp_path / "none.toml", STATE)
    (tmp_path / "latin.toml").write_bytes(b'realm = "\xe4"')
    with pytest.raises(ConfigurationError, match="utf-8"):
        read_configuration(tmp_path / "latin.toml", STATE)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a=" + "{b=" * 5000])
def test_a_file_that_is_nested_without_end(text: str, tmp_path: Path) -> None:
    assert mistakes(tmp_path, text) == ["it is nested too deeply"]


def test_no_setting_is_out_of_reach(tmp_path: Path) -> None:
    """Each field has a key, but for ``base``, which is where the file is."""
    (mistake,) = mistakes(tmp_path, "unknown = 1")
    keys = mistake.partition("only ")[2].split(", ")
    assert sorted([*keys, "base"]) == sorted(field.name.replace("_", "-") for field in attrs.fields(Settings))


def test_the_proxy(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        """
        [proxy]
        enabled = true
        strangers = "authenticate"
        relay-to = ["corp.example.org", "[2001:db8::7]"]
        record-route = false
        record-route-tls = "sips"
        recurse = true
        max-targets = 7
        max-forwards = 60
        max-breadth = 20
        timer-c = 200
        """,
    )
    assert made.proxy == ProxySettings(
        strangers="authenticate",
        relay_to=("corp.example.org", "[2001:db8::7]"),
        record_route=False,
        record_route_tls="sips",
        recurse=True,
        max_targets=7,
        max_forwards=60,
        max_breadth=20,
        timer_c=200.0,
    )


def test_mistakes_about_the_proxy_are_a_line_each(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """
        [proxy]
        strangers = "maybe"
        relay-to = ["sip:corp.example.org"]
        record-route = "yes"
        record-route-tls = "lr"
        max-targets = 0
        max-forwards = 256
        max-breadth = 0
        timer-c = 180
        forking = true
        """,
    )
    places = [line.partition(": ")[0] for line in found]
    assert sorted(places) == [
        "proxy",
        "proxy.max-breadth",
        "proxy.max-forwards",
        "proxy.max-targets",
        "proxy.record-route",
        "proxy.record-route-tls",
        "proxy.relay-to",
        "proxy.strangers",
        "proxy.timer-c",
    ]
    for line in (
        "proxy.relay-to: 'sip:corp.example.org': no domain name and no address",
        "proxy.strangers: 'maybe' is not pass or authenticate or refuse",
        "proxy.timer-c: must be > 180.0: 180.0",
    ):
        assert line in found
