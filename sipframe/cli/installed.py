"""What can be chosen: the list behind ``twistd sipregistrar --help-policy`` and its like."""

from __future__ import annotations

import textwrap

from zope.interface.interface import InterfaceClass

from sipframe.arguments import describe
from sipframe.plugging import KINDS, installed

__all__ = ["listing"]

_WIDTH = 100


def listing(interface: InterfaceClass) -> list[str]:
    """Lines: every plug-in of one kind that is installed, with its arguments, and what could not be imported."""
    kind = KINDS[interface]
    factories, broken = installed(interface)
    lines = [
        f"--{kind.option} NAME[:KEY=VALUE...] chooses the {kind.noun}; a dotted name will do for what is not packaged."
    ]
    for name, factory in sorted(factories.items()):
        lines += ["", f"  {name}", *_wrapped(factory.description, 6)]
        try:
            arguments = factory.arguments()
        except ValueError as error:
            lines += _wrapped(str(error), 6)
            continue
        for argument in arguments:
            need = "must be given" if argument.default is None else f"default: {argument.default or 'none'}"
            about = f"{argument.description}. " if argument.description else ""
            lines += _wrapped(f"{argument.name}=  {about}({describe(argument.type)}; {need})", 8)
    for file, reason in broken.items():
        lines += ["", *_wrapped(f"{file} cannot be imported: {reason}", 2)]
    return lines


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
    )
