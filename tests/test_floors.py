"""The floors that import-linter cannot see: names inside Twisted, calls of the clock, the reactor at run time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT, imports, modules, name_of, parse

PURE_ROOMS = ("message", "transaction", "registrar", "proxy", "auth", "roads", "sending", "uac", "uas")
IMPURE_MODULES = ("twisted.internet", "socket", "time", "random", "secrets", "select", "selectors", "asyncio")
IMPURE_CALLS = (
    "os.urandom",
    "os.getrandom",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
)
MAY_ASK_FOR_THE_REACTOR = ("tap", "cli")
# They reach files, servers and databases: reactor and clock are arguments.
PLUGINS_THAT_WAIT = modules("auth/sources", "auth/bearer")


def is_within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def impurities(source: ast.Module) -> list[str]:
    found = [
        f"line {one.line} imports {one.name}"
        for one in imports(source)
        if any(is_within(one.name, module) for module in IMPURE_MODULES)
    ]
    for node in ast.walk(source):
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(IMPURE_CALLS):
            found.append(f"line {node.lineno} uses {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [
                f"line {node.lineno} imports os.{a.name}"
                for a in node.names
                if a.name in ("urandom", "getrandom")
            ]
    return found


@pytest.mark.parametrize("path", modules(*PURE_ROOMS), ids=name_of)
def test_pure_rooms_know_no_socket_no_clock_and_no_chance(path: Path) -> None:
    found = impurities(parse(path))
    if path in PLUGINS_THAT_WAIT:
        found = [one for one in found if " imports twisted.internet" not in one]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "import os.path, time",
        "def f():\n    from twisted.internet.defer import Deferred",
        "from twisted import internet",
        "import os\nos.urandom(8)",
        "from os import urandom",
        "import datetime\ndatetime.datetime.now()",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import random",
    ],
)
def test_an_impure_module_is_found(source: str) -> None:
    assert impurities(ast.parse(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "import os.path",
        "from twisted.python import log",
        "class C:\n    def f(self):\n        return self.clock.now()",
        "if TYPE_CHECKING:\n    from twisted.internet.interfaces import IReactorTime",
    ],
)
def test_a_pure_module_is_let_be(source: str) -> None:
    assert impurities(ast.parse(source)) == []


@pytest.mark.parametrize("path", modules("message"), ids=name_of)
def test_message_stands_on_the_standard_library(path: Path) -> None:
    others = [
        one
        for one in imports(parse(path))
        if not is_within(one.name, "sipframe.message")
        and one.name.partition(".")[0] not in sys.stdlib_module_names
    ]
    assert others == []


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_the_reactor_is_an_argument(path: Path) -> None:
    asked = [one for one in imports(parse(path)) if is_within(one.name, "twisted.internet.reactor")]
    if path in modules(*MAY_ASK_FOR_THE_REACTOR):
        asked = [one for one in asked if one.at_module_level]
    assert asked == []


def test_importing_everything_installs_no_reactor() -> None:
    # An import that installs the reactor would take --reactor away from whoever embeds sipframe.
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'twisted.internet.reactor' not in sys.modules, name\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
