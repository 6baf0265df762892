"""Habits that are easy to break without noticing: sizes, names, what is shipped, what is news."""

from __future__ import annotations

import ast
import configparser
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tree import ROOT, imports, modules, name_of, parse

LINES = 600
FORBIDDEN_WORDS = {"util", "utils", "utilities", "helper", "helpers", "common", "manager", "managers"}
EVERYWHERE = [
    path
    for top in ("sipframe", "twisted", "tests", "fuzz", "benchmarks", "examples", "docs")
    for path in sorted((ROOT / top).rglob("*.py"))
]


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def listed_packages() -> list[str]:
    return setup()["options"]["packages"].split()


def words(name: str) -> set[str]:
    """The words of a name in snake_case or CamelCase, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def forbidden_names(path: Path) -> list[str]:
    names = [*path.relative_to(ROOT).with_suffix("").parts]
    names += [node.name for node in ast.walk(parse(path)) if isinstance(node, ast.ClassDef)]
    return [name for name in names if words(name) & FORBIDDEN_WORDS]


def test_words_of_a_name() -> None:
    assert words("TLSManager") == {"tls", "manager"}
    assert words("uri_utils") == {"uri", "utils"}
    assert words("commonplace") == {"commonplace"}


@pytest.mark.parametrize("path", EVERYWHERE, ids=name_of)
def test_no_name_that_says_nothing(path: Path) -> None:
    assert forbidden_names(path) == []


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_module_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_every_module_begins_by_stating_its_rules(path: Path) -> None:
    assert ast.get_docstring(parse(path))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_module_state_that_changes(path: Path) -> None:
    source = parse(path)
    rebound = [node.lineno for node in ast.walk(source) if isinstance(node, ast.Global)]
    empty = [
        node.lineno
        for node in source.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value is not None
        and ast.unparse(node.value).endswith(("[]", "{}", "set()", "dict()", "list()", "deque()"))
    ]
    assert (rebound, empty) == ([], [])


def test_every_package_is_listed() -> None:
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in modules()}
    assert sorted(listed_packages()) == sorted(folders | {"twisted.plugins"})


def test_every_room_is_a_package() -> None:
    rooms = [ROOT.joinpath(*name.split(".")) for name in listed_packages() if name != "twisted.plugins"]
    assert [name_of(room) for room in rooms if not (room / "__init__.py").exists()] == []


def test_twisted_is_left_alone() -> None:
    assert [name_of(path) for path in (ROOT / "twisted").rglob("*.py")] == [
        "twisted/plugins/sipframe_plugin.py"
    ]


def test_the_floors_name_every_room_that_exists() -> None:
    layers = setup()["importlinter:contract:floors"]["layers"]
    exempt = setup()["importlinter:contract:floors"]["exhaustive_ignores"].split()
    listed = set(re.findall(r"\w+", layers)) | set(exempt)
    rooms = {path.relative_to(ROOT / "sipframe").parts[0].removesuffix(".py") for path in modules()} - {
        "__init__"
    }
    assert rooms - listed == set()


def test_editable_installs_keep_the_plug_in() -> None:
    assert setup()["editable_wheel"]["mode"] == "compat"


def test_the_core_needs_little() -> None:
    names = {
        re.split(r"[\s\[<>=]", line)[0] for line in setup()["options"]["install_requires"].split("\n") if line
    }
    assert names <= {"attrs", "cattrs", "pyopenssl", "service-identity", "twisted", "zope.interface"}


def test_nothing_is_imported_that_is_not_installed() -> None:
    brought = {
        "attrs",
        "cattrs",
        "cryptography",
        "OpenSSL",
        "service_identity",
        "hypothesis",  # the extra testing
        "pytest",  # the same
        "joserfc",  # the extra bearer
        "treq",  # the extra http
        "twisted",
        "zope",
        "sipframe",
    }
    imported = {one.name.partition(".")[0] for path in modules() for one in imports(parse(path))}
    assert imported - brought - sys.stdlib_module_names == set()


def test_news_fragments_are_named_by_issue_and_type() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]
    types = "|".join(one["directory"] for one in settings["type"])
    shape = re.compile(rf"(\d+|\+[\w-]+)\.({types})(\.\d+)?\.md|README\.md")
    names = [path.name for path in (ROOT / settings["directory"]).iterdir()]
    assert [name for name in names if not shape.fullmatch(name)] == []


def test_the_changelog_has_the_place_where_releases_go() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]
    assert settings["start_string"] in (ROOT / settings["filename"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["script/server", "script/test", ".ci/run"])
def test_scripts_can_be_started(name: str) -> None:
    path = ROOT / name
    assert path.stat().st_mode & 0o111
    assert path.read_text(encoding="utf-8").startswith("#!")
