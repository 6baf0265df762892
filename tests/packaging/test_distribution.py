"""What is in the wheel, and that it is enough: installed in a clean environment, everything is there and works."""

from __future__ import annotations

import zipfile
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

import pytest

import sipframe
from tests.packaging.conftest import Environment
from tests.tree import ROOT, modules


@pytest.fixture(scope="session")
def content(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if ".dist-info/" not in name]


def test_the_wheel_holds_every_module_and_nothing_else(content: list[str]) -> None:
    ours = [path.relative_to(ROOT).as_posix() for path in modules()]
    assert sorted(content) == sorted([*ours, "sipframe/py.typed", "twisted/plugins/sipframe_plugin.py"])


def test_the_wheel_would_not_destroy_twisted(content: list[str]) -> None:
    assert not {"twisted/__init__.py", "twisted/plugins/__init__.py"} & set(content)


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
        licences = [name for name in archive.namelist() if name.endswith("/LICENSE")]
    assert metadata["Name"] == "sipframe"
    assert metadata["Version"] == sipframe.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert len(licences) == 1


def test_installing_leaves_twisted_whole(from_wheel: Environment) -> None:
    found = from_wheel.run("-c", "import twisted, sipframe; print(twisted.__version__, sipframe.__file__)")
    number, path = found.split()
    assert number == version("twisted")
    assert Path(path).is_relative_to(from_wheel.site_packages)
    assert (from_wheel.site_packages / "twisted/plugins/sipframe_plugin.py").exists()


def test_every_module_imports_from_the_wheel(from_wheel: Environment) -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    from_wheel.run("-W", "error", "-c", "\n".join(f"import {name}" for name in names))


def test_the_command_is_installed(from_wheel: Environment) -> None:
    from tests.packaging.conftest import run

    shown = run(from_wheel.python.parent / "sipframe", "--help", cwd=from_wheel.elsewhere)
    for word in ("user", "bindings", "register"):
        assert word in shown
