"""The documents say what the code does: links, options, events, limits and blocks of Python are compared with it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from zope.interface.interface import InterfaceClass

from docs import make_plugin_reference, make_settings_reference
from sipframe.auth.settings import DigestSettings
from sipframe.config import Settings
from sipframe.config_file import ConfigurationError, read_configuration
from sipframe.interfaces import IAuthenticator, ICredentialSource, ILocationStore, IPolicy
from sipframe.location import SQLiteStore
from sipframe.registrar import Registrar
from sipframe.running import RELOADED
from sipframe.seams import PluginLimits
from sipframe.tap import Options
from sipframe.testing import contracts
from sipframe.transaction import TransactionSettings
from sipframe.transport import TransportLimits
from sipframe.verdicts import Terms
from tests.tree import ROOT, modules, name_of, parse

TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
DOCUMENTS = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTING = re.compile(r"^```python\n((?:(?!^```).)*)^```\n+^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block of Python, and what it prints."""
LINK = re.compile(r"\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """``text`` without its blocks of code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^    .*$", "", text, flags=re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """What a link may name behind ``#`` in ``path``: its headings, as forges write them."""
    headings = re.findall(r"^#+ (.*)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def first_cells(text: str) -> list[str]:
    """The first cell of each row of each table."""
    rows = re.findall(r"^\| *([^|]+?) *\|", text, re.MULTILINE)
    return [row for row in rows if not set(row) <= {"-"}]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    """In that of docs/, or in that of its own directory."""
    docs = ROOT / "docs"
    indexes = sorted(docs.rglob("index.md"))
    linked = {docs / "index.md"}
    for index in indexes:
        targets = LINK.findall(index.read_text(encoding="utf-8"))
        linked |= {(index.parent / target).resolve() for target in targets if "://" not in target}
    assert [name_of(path) for path in sorted(docs.rglob("*.md")) if path not in linked] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_blocks_of_python_compile(path: Path) -> None:
    for block in PYTHON.findall(path.read_text(encoding="utf-8")):
        compile(block, name_of(path), "exec", dont_inherit=True)


def test_the_readme_has_python_and_no_place_left_to_fill() -> None:
    readme = text_of("README.md")
    assert PYTHON.findall(readme)
    assert "<!--" not in readme


RUNNING = [
    ROOT / "README.md",
    ROOT / "docs" / "plug-ins.md",
    ROOT / "docs" / "testing.md",
    ROOT / "docs" / "embedding.md",
    ROOT / "docs" / "proxy.md",
    *sorted((ROOT / "docs" / "seams").glob("*.md")),
]
"""Pages whose blocks of Python do what they say. One that begins with ``# name.py`` is a file of that name."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to work in; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def found_in(scope: dict[str, Any]) -> Iterator[Callable[[], object]]:
    """The tests that pytest would find in a module."""
    for name, value in scope.items():
        if name.startswith("test_"):
            yield value
        elif name.startswith("Test"):
            for method in dir(value):
                if method.startswith("test_"):
                    yield getattr(value(), method)


@pytest.mark.parametrize("path", RUNNING, ids=name_of)
def test_blocks_of_python_run(path: Path, desk: Path) -> None:
    ran = 0
    shared: dict[str, Any] = {}  # by the blocks of one page, in their order, but for their tests
    for block in PYTHON.findall(path.read_text(encoding="utf-8")):
        file = re.match(r"# (\w+\.py)\n", block)
        if file is not None:
            (desk / file[1]).write_text(block, encoding="utf-8")
            continue
        scope: dict[str, Any] = {**shared, "__name__": "block"}
        exec(compile(block, name_of(path), "exec", dont_inherit=True), scope)
        for test in found_in(scope):
            test()
            ran += 1
        shared |= {name: value for name, value in scope.items() if not name.startswith(("test_", "Test"))}
    assert ran or path.name in ("plug-ins.md", "embedding.md")


@pytest.mark.parametrize("path", RUNNING, ids=name_of)
def test_what_blocks_of_python_print_is_what_stands_below(
    path: Path, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for block, printed in PRINTING.findall(path.read_text(encoding="utf-8")):
        exec(compile(block, name_of(path), "exec", dont_inherit=True), {"__name__": "block"})
        assert "".join([f"{line.rstrip()}\n" for line in capsys.readouterr().out.splitlines()]) == printed


def test_settings_in_blocks_of_python_exist(tmp_path: Path) -> None:
    blocks = PYTHON.findall(text_of("docs/embedding.md"))
    scope: dict[str, Any] = {}
    for block in blocks:
        exec(block.replace("from twisted.internet import reactor\n", "reactor = object()\n"), scope)
    assert scope["sip"].settings.realm == "example.com"


def options() -> dict[str, object]:
    """The options of ``twistd sipregistrar`` and their defaults; None when there is none, or it is a rule."""
    found: dict[str, object] = {f"--{name}": default for name, _, default, *_ in Options.optParameters}
    found |= {f"--{name}": None for name, *_ in Options.optFlags}
    for name in dir(Options):
        if name.startswith("opt_") and len(name) > len("opt_x") and name not in ("opt_version", "opt_help"):
            found["--" + name.removeprefix("opt_").replace("_", "-")] = None
    return found


def option_rows() -> dict[str, str]:
    """The rows of the table of options in docs/running.md: option to default."""
    return dict(re.findall(r"^\| `(--[a-z0-9-]+)` \| *(.*?) *\|", text_of("docs/running.md"), re.MULTILINE))


def test_every_option_is_documented_and_no_other() -> None:
    assert sorted(option_rows()) == sorted(options())


def test_defaults_of_options_are_the_real_ones() -> None:
    rows = option_rows()
    real = {name: str(default) for name, default in options().items() if default is not None}
    assert {name: rows[name].strip("`") for name in real} == real


def test_defaults_that_the_help_tells_are_the_documented_ones() -> None:
    rows = option_rows()
    texts = {f"--{name}": text for name, _, _, text, *_ in Options.optParameters}
    for name in rows.keys() - texts.keys():
        texts[name] = str(getattr(Options, f"opt_{name[2:].replace('-', '_')}", Options).__doc__)
    told = {
        name: default[1]
        for name, text in texts.items()
        if (default := re.search(r"\[default: ([\w.-]+)\]", text))
    }
    assert len(told) > 10
    assert {name: rows[name].strip("`") for name in told} == told


VALUES = {
    "--state": "elsewhere",
    "--listen": "udp:7000",
    "--domain": "example.org",
    "--alias": "192.0.2.1=localhost",
    "--realm": "there",
    "--client-ca": __file__,
    "--credentials": "toml:path=users.toml",
    "--auth": "certificate",
    "--digest": "strict",
    "--location": "memory",
    "--policy": "back-off",
    "--default-expires": "61",
    "--min-expires": "59",
    "--max-expires": "7201",
    "--max-contacts": "11",
    "--service-route": "<sip:edge.example.com;lr>",
    "--no-proxy": "",
    "--strangers": "refuse",
    "--relay-to": "corp.example.org",
    "--record-route": "no",
    "--t1": "0.4",
    "--plugin-deadline": "4",
    "--stop-deadline": "4",
    "--admin": "no",
    "--log-level": "debug",
}
"""A value for each option that is not its default."""


def keys_of(settings: Any) -> dict[str, object]:
    """Every key of the configuration file, and its value."""
    found: dict[str, object] = {}
    for table in make_settings_reference.tables():
        value = settings
        for part in table.place.replace("-", "_").split(".") if table.place else ():
            value = getattr(value, part)
        for key in table.keys:
            name = f"{table.place}.{key.name}" if table.place else key.name
            found[name] = getattr(value, key.name.replace("-", "_"))
    return found


def set_by(*arguments: str) -> dict[str, object]:
    options = Options()
    options.parseOptions(arguments)
    return keys_of(options.settings)


def test_each_option_is_the_key_that_stands_beside_it() -> None:
    table = text_of("docs/configuration.md").partition("## From options to keys")[2]
    told = {
        option: key
        for left, key in re.findall(r"^\| (`--.*?) \| `(.*?)` \|$", table, re.MULTILINE)
        for option in re.findall(r"--[a-z0-9-]+", left)
    }
    before = set_by()
    pair = {"--certificate": __file__, "--private-key": __file__}
    for option, key in told.items():
        given = [f"{name}={path}" for name, path in pair.items()] if option in pair else None
        value = VALUES.get(option)
        after = set_by(*(given or [f"{option}={value}" if value else option]))
        changed = {name for name in after if after[name] != before[name]}
        assert changed - {"aliases"} == {key} - {"aliases"}, option
    about_the_command_line = {
        "--config",
        "--check-config",
        *(name for name in options() if "--help-" in name),
    }
    assert told.keys() | about_the_command_line == options().keys()


def blocks_of_toml(name: str) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", text_of(name), re.MULTILINE | re.DOTALL)


def test_the_example_of_a_configuration_is_the_file_in_examples() -> None:
    assert blocks_of_toml("docs/configuration.md")[0] == text_of("examples/sipframe.toml")


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_blocks_of_toml_are_configurations(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "sipframe.toml"
    for block in blocks_of_toml(name_of(path)):
        keys = {name.partition(".")[0] for name in keys_of(Settings(state=tmp_path))}
        if tomllib.loads(block).keys() & keys and not block.startswith("domain ="):
            _ = file.write_text(block, encoding="utf-8")
            _ = read_configuration(file, tmp_path)


def test_mistakes_in_a_configuration_are_told_as_the_page_has_it(tmp_path: Path) -> None:
    page = text_of("docs/configuration.md")
    [block] = [block for block in blocks_of_toml("docs/configuration.md") if block.startswith("domain =")]
    file = tmp_path / "sipframe.toml"
    _ = file.write_text(block, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        _ = read_configuration(file, tmp_path)
    assert "".join([f"sipframe.toml: {mistake}\n" for mistake in raised.value.mistakes]) in page


def test_what_a_reload_takes_into_use_is_documented() -> None:
    row = re.search(r"^\| (`.*`) \| everything else \|$", text_of("docs/configuration.md"), re.MULTILINE)
    assert row is not None
    assert re.findall(r"`([\w-]+)`", row[1]) == [name.replace("_", "-") for name in RELOADED]


def test_options_that_other_pages_name_exist() -> None:
    elsewhere = {"--pidfile", "--help", "--version", "--user", "--auth"}
    simulator = ROOT / "tests" / "simulator" / "__main__.py"
    commands = [*modules("cli"), *sorted((ROOT / "benchmarks").glob("*.py")), simulator]
    cli = " ".join(path.read_text(encoding="utf-8") for path in commands)
    unknown = []
    for path in DOCUMENTS:
        for name in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", path.read_text(encoding="utf-8")):
            if name in options() or f'"{name}"' in cli or name in elsewhere:
                continue
            if path.name != "CONTRIBUTING.md":
                unknown.append((name_of(path), name))
    assert unknown == []


def published() -> dict[str, set[str]]:
    """Every event that the code publishes, and its fields."""
    found: dict[str, set[str]] = {}
    for path in modules():
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr != "publish":
                continue
            names = [
                leaf.value
                for leaf in ast.walk(node.args[0])
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
            ]
            assert names, f"{name_of(path)}:{node.lineno}: the name of an event stands where it is published"
            for name in names:
                found.setdefault(name, set()).update(
                    keyword.arg for keyword in node.keywords if keyword.arg is not None
                )
    return found


def test_every_event_is_documented_with_its_fields_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(sipframe\.[\w.]+)` \|[^|]*\| *(.*?) *\|$", text_of("docs/events.md"), re.MULTILINE
    )
    documented = {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in rows}
    assert documented == published()
    assert len(rows) == len(documented)


def test_every_event_stands_below_its_root() -> None:
    assert all(name.startswith("sipframe.") for name in published())


def test_limits_that_are_documented_exist() -> None:
    owners = (TransportLimits, TransactionSettings, DigestSettings, PluginLimits, Settings)
    named = re.findall(r"`(\w+)\.(\w+)` \|$", text_of("docs/running.md"), re.MULTILINE)
    fields = {owner.__name__: {one.name for one in owner.__attrs_attrs__} for owner in owners}
    fields["Terms"] = set(Terms._fields)
    fields["Registrar"] = set(Registrar.__init__.__kwdefaults__ or {})
    fields["SQLiteStore"] = set(SQLiteStore.__init__.__kwdefaults__ or {})
    assert [f"{owner}.{name}" for owner, name in named if name not in fields.get(owner, ())] == []
    for limits, no_limits in (
        (TransportLimits, {"udp_receive_buffer", "honour_maddr"}),
        (PluginLimits, set()),
    ):
        documented = {name for owner, name in named if owner == limits.__name__}
        assert documented == fields[limits.__name__] - no_limits


def test_settings_of_digest_are_documented() -> None:
    table = text_of("docs/digest.md").partition("## All settings")[2]
    names = [cell.strip("`") for cell in first_cells(table)][1:]
    assert names == [one.name for one in DigestSettings.__attrs_attrs__]


SEAMS: dict[InterfaceClass, str] = {
    ICredentialSource: "credential-sources",
    IAuthenticator: "authenticators",
    ILocationStore: "location-stores",
    IPolicy: "policies",
}
QUESTIONS = (
    "Asked",
    "Returns",
    "None",
    "Exception",
    "Time-out",
    "Cancelled",
    "Too much",
    "Several",
)
"""What the page of each seam answers."""


@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.__name__)
def test_every_method_of_every_seam_is_documented(seam: InterfaceClass) -> None:
    page = text_of(f"docs/seams/{SEAMS[seam]}.md")
    for name, method in seam.namesAndDescriptions():
        assert f"{name}({', '.join(method.positional)})" in page


@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.__name__)
def test_the_page_of_each_seam_answers_the_same_questions(seam: InterfaceClass) -> None:
    page = text_of(f"docs/seams/{SEAMS[seam]}.md")
    assert [one for one in QUESTIONS if f"| **{one}** |" not in page] == []


@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.__name__)
def test_the_page_of_each_seam_names_every_packaged_plug_in_of_its_kind(seam: InterfaceClass) -> None:
    stock = text_of(f"docs/seams/{SEAMS[seam]}.md").partition("## Those that come with sipframe")[2]
    rows = {name for cell in first_cells(stock) for name in re.findall(r"`([a-z0-9-]+)`", cell)}
    assert rows == {plug_in.name for plug_in in make_plugin_reference.packaged(seam)}


def test_limits_of_plug_ins_are_those_that_the_pages_tell() -> None:
    limits = PluginLimits()
    page = text_of("docs/plug-ins.md")
    assert f"| {limits.deadline:g} s |" in page
    assert f"| {limits.in_flight}, {limits.queue} |" in page
    assert f"| {limits.failures}, {limits.open_for:g} s |" in page
    for name in SEAMS.values():
        page = text_of(f"docs/seams/{name}.md")
        assert f"After {limits.deadline:g} s (`deadline`)" in page
        assert f"| **Too much** | {limits.in_flight} " in page
        assert f"at once, {limits.queue} waiting" in page
        assert f"After {limits.failures} time-outs or Unavailable in a row" in page
        assert f"left alone for {limits.open_for:g} s" in page


def test_every_setting_is_in_the_reference() -> None:
    made = make_settings_reference.page()
    assert text_of("docs/reference/settings.md") == made, "run python -m docs.make_settings_reference"


def test_every_setting_says_what_it_means() -> None:
    silent = [
        (table.place, key.name)
        for table in make_settings_reference.tables()
        for key in table.keys
        if not key.meaning
    ]
    assert silent == []


def test_every_key_of_the_reference_is_a_key_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "all.toml"
    for table in make_settings_reference.tables():
        for key in table.keys:
            place = f"[{table.place}]\n" if table.place else ""
            _ = file.write_text(f"{place}{key.name} = 1979-05-27\n", encoding="utf-8")  # right for none
            with pytest.raises(ConfigurationError) as raised:
                _ = read_configuration(file, tmp_path)
            assert not any("there is no" in mistake for mistake in raised.value.mistakes), key.name


def test_every_packaged_plug_in_is_in_the_reference() -> None:
    made = make_plugin_reference.page()
    assert text_of("docs/reference/plug-ins.md") == made, "run python -m docs.make_plugin_reference"


def test_every_argument_of_a_packaged_plug_in_says_what_it_is_for() -> None:
    silent = [
        (plug_in.name, argument.name)
        for seam in SEAMS
        for plug_in in make_plugin_reference.packaged(seam)
        for argument in plug_in.arguments()
        if not argument.description
    ]
    assert silent == []


def test_every_contract_is_documented() -> None:
    page = text_of("docs/testing.md")
    kits = {name for name in contracts.__all__ if name.endswith("Contract") and name != "Contract"}
    assert {cell.strip("`") for cell in first_cells(page) if cell.endswith("Contract`")} == kits


def test_files_that_the_tables_name_exist() -> None:
    missing = []
    for page in ("docs/rfc-compliance.md", "docs/architecture.md"):
        for row in re.findall(r"^\|.*\|$", text_of(page), re.MULTILINE):
            for name in re.findall(r"`([\w/]+(?:\.py|/))`", row):
                base = ROOT if name.startswith("tests/") else ROOT / "sipframe"
                if not (base / name).exists():
                    missing.append(name)
    assert missing == []


def test_every_room_has_its_place_in_the_architecture() -> None:
    tops = {path.relative_to(ROOT / "sipframe").parts[0] for path in modules()} - {"__init__.py"}
    named = {
        name.partition("/")[0]
        for row in re.findall(r"^\| (?:\d½?|top) \|.*$", text_of("docs/architecture.md"), re.MULTILINE)
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", row)
    }
    assert named == tops


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_documents_speak_of_the_project_only(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"/(?:tmp|work|root)/\S*", text) == []
