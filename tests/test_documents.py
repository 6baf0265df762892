"""The documents say what the code does: links, options, events, limits and blocks of Python are compared with it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from sipframe.auth.settings import DigestSettings
from sipframe.interfaces import IAuthenticator, ICredentialSource, ILocationStore, IPolicy
from sipframe.location import SQLiteStore
from sipframe.registrar import Registrar
from sipframe.tap import Options
from sipframe.transaction import TransactionSettings
from sipframe.transport import TransportLimits
from sipframe.verdicts import Terms
from tests.tree import ROOT, modules, name_of, parse

TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
DOCUMENTS = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
    index = ROOT / "docs" / "index.md"
    targets = LINK.findall(index.read_text(encoding="utf-8"))
    linked = {(index.parent / target).resolve() for target in targets if "://" not in target}
    assert [
        name_of(path) for path in sorted((ROOT / "docs").rglob("*.md")) if path not in {*linked, index}
    ] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_blocks_of_python_compile(path: Path) -> None:
    for block in PYTHON.findall(path.read_text(encoding="utf-8")):
        compile(block, name_of(path), "exec", dont_inherit=True)


def test_the_readme_has_python_and_no_place_left_to_fill() -> None:
    readme = text_of("README.md")
    assert PYTHON.findall(readme)
    assert "<!--" not in readme


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


def test_options_that_other_pages_name_exist() -> None:
    elsewhere = {"--pidfile", "--help", "--version", "--user", "--auth"}
    cli = " ".join(path.read_text(encoding="utf-8") for path in modules("cli"))
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


def test_every_event_stands_below_its_root() -> None:
    assert all(name.startswith("sipframe.") for name in published())


def test_limits_that_are_documented_exist() -> None:
    owners = (TransportLimits, TransactionSettings, DigestSettings)
    named = re.findall(r"`(\w+)\.(\w+)` \|$", text_of("docs/running.md"), re.MULTILINE)
    fields = {owner.__name__: {one.name for one in owner.__attrs_attrs__} for owner in owners}
    fields["Terms"] = set(Terms._fields)
    fields["Settings"] = {"most_waiting"}
    fields["Registrar"] = set(Registrar.__init__.__kwdefaults__ or {})
    fields["SQLiteStore"] = set(SQLiteStore.__init__.__kwdefaults__ or {})
    assert [f"{owner}.{name}" for owner, name in named if name not in fields.get(owner, ())] == []
    documented = {name for owner, name in named if owner == "TransportLimits"}
    numbers = fields["TransportLimits"] - {"udp_receive_buffer", "honour_maddr"}
    assert documented == numbers


def test_settings_of_digest_are_documented() -> None:
    table = text_of("docs/digest.md").partition("## All settings")[2]
    names = [cell.strip("`") for cell in first_cells(table)][1:]
    assert names == [one.name for one in DigestSettings.__attrs_attrs__]


def test_every_method_of_every_seam_is_documented() -> None:
    page = text_of("docs/plug-ins.md")
    for seam in (ICredentialSource, IAuthenticator, ILocationStore, IPolicy):
        section = re.search(rf"^## .*`{seam.__name__}`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section is not None, seam.__name__
        for name, method in seam.namesAndDescriptions():
            assert f"{name}({', '.join(method.positional)})" in section[1]


def test_files_that_the_tables_name_exist() -> None:
    missing = []
    for page in ("docs/rfc-compliance.md", "docs/architecture.md"):
        for row in re.findall(r"^\|.*\|$", text_of(page), re.MULTILINE):
            for name in re.findall(r"`([\w/]+(?:\.py|/))`", row):
                base = ROOT if name.startswith("tests/") else ROOT / "sipframe"
                if not (base / name).exists():
                    missing.append(name)
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_documents_speak_of_the_project_only(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"/(?:tmp|work|root)/\S*", text) == []
