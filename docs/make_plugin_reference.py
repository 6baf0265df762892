"""Write docs/reference/plug-ins.md: every plug-in that comes with sipframe, with its arguments.

    python -m docs.make_plugin_reference

What is said is what ``twistd sipregistrar --help-policy`` and its like say; a test compares the page with the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from zope.interface.interface import InterfaceClass

from docs.docstrings import cell, markdown
from sipframe.arguments import Argument, describe
from sipframe.interfaces import IAuthenticator, ICredentialSource, ILocationStore, IPolicy
from sipframe.plugging import KINDS, Plugin, installed
from sipframe.plugins import stock

PAGE: Final = Path(__file__).parent / "reference" / "plug-ins.md"

INTRODUCTION: Final = """\
# The plug-ins that come with sipframe

<!-- Made from sipframe/plugins/stock.py by docs/make_plugin_reference.py. Do not edit: run
     `python -m docs.make_plugin_reference`. -->

On the command line a plug-in is `NAME`, or `NAME:KEY=VALUE:KEY=VALUE`. A colon within a value is `\\:`, and a list has
commas between its parts. In the [configuration file](../configuration.md) it is the same text, or a table whose `use`
is the name. [Plug-ins](../plug-ins.md#choosing) has more about both.
"""

SEAMS: Final[Mapping[InterfaceClass, tuple[str, str]]] = MappingProxyType(
    {
        ICredentialSource: ("Credential sources", "credential-sources.md"),
        IAuthenticator: ("Authenticators", "authenticators.md"),
        ILocationStore: ("Location stores", "location-stores.md"),
        IPolicy: ("Policies", "policies.md"),
    }
)


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join([section(interface) for interface in KINDS])


def packaged(interface: InterfaceClass) -> list[Plugin]:
    """What comes with sipframe, by name; what others have installed beside it is not ours to describe."""
    ours = [value for value in vars(stock).values() if isinstance(value, Plugin)]
    factories = installed(interface).factories
    return [factory for _, factory in sorted(factories.items()) if factory in ours]


def section(interface: InterfaceClass) -> str:
    """All of one kind."""
    title, seam = SEAMS[interface]
    option = KINDS[interface].option
    lines = [
        f"\n## {title}\n",
        f"Chosen by `--{option}`. [The seam](../seams/{seam}) says what they are asked.\n",
    ]
    return "\n".join(lines) + "".join([described(plug_in) for plug_in in packaged(interface)])


def described(plug_in: Plugin) -> str:
    """One plug-in: what it is, what it needs, its arguments."""
    lines = [f"\n### `{plug_in.name}`\n", f"{markdown(plug_in.description)}\n"]
    if plug_in.extra is not None:
        lines.append(f"Needs `pip install 'sipframe[{plug_in.extra}]'`.\n")
    arguments = plug_in.arguments()
    if arguments:
        lines += ["| argument | default | type | meaning |", "|---|---|---|---|"]
        lines += [row(argument) for argument in arguments]
    else:
        lines.append("It takes no arguments.")
    return "\n".join(lines) + "\n"


def row(argument: Argument) -> str:
    """One argument."""
    default = (
        "must be given" if argument.default is None else f"`{argument.default}`" if argument.default else ""
    )
    about = cell(markdown(argument.description))
    return f"| `{argument.name}` | {default} | {cell(describe(argument.type))} | {about[:1].upper()}{about[1:]} |"


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
