"""What the pages that are made from code have in common: docstrings of attributes, as Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

__all__ = ["attribute_docstrings", "cell", "markdown"]

_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?([\w.]+)`")
_TITLED_ROLE = re.compile(r":\w+:`([^`<]+) <[^`]*>`")


def attribute_docstrings(owner: type) -> dict[str, str]:
    """The string below each annotated attribute in the body of a class, by the attribute's name; cleaned."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for attribute, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(attribute, ast.AnnAssign)
            and isinstance(attribute.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[attribute.target.id] = inspect.cleandoc(below.value.value)
    return found


def markdown(text: str) -> str:
    """Text of a docstring: its literals and roles as Markdown has them."""
    text = _TITLED_ROLE.sub(r"``\1``", text)
    text = _ROLE.sub(r"``\1``", text)
    return text.replace("``", "`")


def cell(text: str) -> str:
    """Text in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
