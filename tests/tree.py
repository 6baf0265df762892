"""The source tree as data, for the tests that hold the project's habits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["ROOT", "Import", "imports", "modules", "name_of", "parse"]

ROOT = Path(__file__).resolve().parent.parent


class Import(NamedTuple):
    """One imported name. ``at_module_level`` is False inside a function."""

    name: str
    line: int
    at_module_level: bool


def modules(*rooms: str) -> list[Path]:
    """The modules of sipframe, sorted: all of them, or those of ``rooms`` (a package or a module, if it exists)."""
    package = ROOT / "sipframe"
    if not rooms:
        return sorted(package.rglob("*.py"))
    found: list[Path] = []
    for room in rooms:
        single = package / f"{room}.py"
        found += [single] if single.exists() else sorted((package / room).rglob("*.py"))
    return found


def name_of(path: Path) -> str:
    """A path as it stands in a report."""
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(source: ast.Module) -> Iterator[Import]:
    """What ``source`` imports when it runs; imports under ``if TYPE_CHECKING:`` are not among it.

    ``from a import b`` gives ``a.b``, since ``b`` may be a module.
    """
    yield from _imports(source, at_module_level=True)


def _imports(node: ast.AST, at_module_level: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_module_level)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                yield Import(f"{child.module}.{alias.name}", child.lineno, at_module_level)
        elif isinstance(child, ast.If) and ast.unparse(child.test) in (
            "TYPE_CHECKING",
            "typing.TYPE_CHECKING",
        ):
            for other in child.orelse:
                yield from _imports(ast.Module([other], []), at_module_level)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, at_module_level and not inside)
