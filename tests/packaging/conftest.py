"""The distributions, and clean environments to install them in, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tree import ROOT

SHIPPED_FROM = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "sipframe", "twisted")
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "dropin.cache")
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
TWISTD = "from twisted.scripts.twistd import run; run()"


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command to its end and return its standard output; the test fails with its errors when it fails.

    It sees neither this process's Python settings nor the tree, unless ``variables`` say so.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Environment(NamedTuple):
    """A virtual environment that holds what sipframe needs, and not sipframe."""

    python: Path
    site_packages: Path
    elsewhere: Path
    """An empty directory to run things in."""

    def run(self, *arguments: str | Path, **variables: str) -> str:
        return run(self.python, *arguments, cwd=self.elsewhere, **variables)

    def twistd(self, *arguments: str, **variables: str) -> str:
        return self.run("-c", TWISTD, *arguments, **variables)

    def install(self, *arguments: str | Path) -> None:
        """Install with pip, which finds what is required here or fails: it asks no index."""
        pip = (sys.executable, *PIP, "--python", self.python, "install", "--no-index")
        run(*pip, *arguments, cwd=self.elsewhere)


def make_environment(folder: Path) -> Environment:
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = Path(run(python, "-c", ask, cwd=folder).strip())
    for source in sorted({Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}):
        for entry in source.iterdir():
            target = site_packages / entry.name
            if entry.name.startswith("sipframe") or entry.suffix == ".pth" or target.exists():
                continue
            if entry.name == "twisted":
                # A copy: the plug-in is installed into Twisted's own folder, as it is for every user.
                shutil.copytree(
                    entry, target, ignore=shutil.ignore_patterns("test", "__pycache__", "*sipframe*")
                )
            else:
                target.symlink_to(entry)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Environment(python, site_packages, elsewhere)


def copy_tree(folder: Path) -> Path:
    """Copy what the package is built from, so that a build leaves nothing in the tree."""
    folder.mkdir()
    for name in SHIPPED_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=NOT_SHIPPED)
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as a release is."""
    folder = tmp_path_factory.mktemp("build")
    source = copy_tree(folder / "tree")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", source, cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """Make a clean environment with the given name."""
    return lambda name: make_environment(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def from_wheel(clean: Callable[[str], Environment], wheel: Path) -> Environment:
    environment = clean("from-wheel")
    environment.install(wheel)
    return environment


@pytest.fixture(scope="session")
def from_editable(
    clean: Callable[[str], Environment], tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    environment = clean("from-editable")
    tree = copy_tree(tmp_path_factory.mktemp("editable") / "tree")
    environment.install("--no-build-isolation", "--editable", tree)
    return environment


@pytest.fixture(scope="session")
def from_tree(clean: Callable[[str], Environment]) -> Environment:
    """Nothing is installed; a test adds the tree to the path."""
    return clean("from-tree")
