"""Write docs/reference/settings.md: every key of the configuration file, from the classes that hold the settings.

    python -m docs.make_settings_reference

The meaning of a key is the string below the attribute in its class; a test compares the page with the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

import attrs

from docs.docstrings import attribute_docstrings, cell, markdown
from sipframe.arguments import as_text, describe
from sipframe.config import Settings
from sipframe.plugging import Choice
from sipframe.running import RELOADED
from sipframe.transport import CertificateFiles, ListenAddress

PAGE: Final = Path(__file__).parent / "reference" / "settings.md"

INTRODUCTION: Final = """\
# Every setting

<!-- Made from sipframe/config.py and what it holds by docs/make_settings_reference.py. Do not edit: run
     `python -m docs.make_settings_reference`. -->

These are the keys of the [configuration file](../configuration.md), and with underscores in the place of hyphens the
fields of `sipframe.config.Settings` in a [program of yours](../embedding.md#settings). Times are seconds, sizes octets.
"None" is what a key is that is left out and has no default; True and False are `true` and `false` in the file.

Reload says what becomes of a change in a server that runs: `yes` takes it into use at SIGHUP or `SIPService.reload()`,
`start` waits for the next start.
"""

NOT_IN_THE_FILE: Final = frozenset({"base"})
"""What the file itself decides."""

WORDS: Final[Mapping[Any, str]] = MappingProxyType(
    {
        Choice: "a plug-in",
        ListenAddress: "`TRANSPORT:PORT[:interface=ADDRESS]`",
        CertificateFiles: "a table of `certificate` and `private-key`, two paths",
    }
)

DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "state": "`$XDG_STATE_HOME/sipframe` or `~/.local/state/sipframe`",
        "aliases": '`127.0.0.1 = "localhost"`, `::1 = "localhost"`; none where `domains` is given',
    }
)
"""Those that are a rule."""


class Key(NamedTuple):
    """One row."""

    name: str
    default: str
    type: str
    meaning: str


class Table(NamedTuple):
    """One table of the file. ``place`` is empty for the keys outside of any."""

    place: str
    owner: type
    keys: tuple[Key, ...]
    tables: tuple[tuple[str, type], ...]
    """Its own tables: their places and classes."""


def tables(owner: type = Settings, place: str = "") -> Iterator[Table]:
    """The table that is made into ``owner``, and all those within it."""
    hints, meanings = get_type_hints(owner), attribute_docstrings(owner)
    keys: list[Key] = []
    inner: list[tuple[str, type]] = []
    for name, default in fields(owner):
        key = name.replace("_", "-")
        if name in NOT_IN_THE_FILE:
            continue
        if is_table(hints[name]):
            inner.append((f"{place}.{key}" if place else key, hints[name]))
        else:
            shown = DEFAULTS.get(key, shown_default(default)) if owner is Settings else shown_default(default)
            keys.append(Key(key, shown, words(hints[name]), cell(markdown(meanings.get(name, "")))))
    yield Table(place, owner, tuple(keys), tuple(inner))
    for where, wanted in inner:
        yield from tables(wanted, where)


def fields(owner: Any) -> list[tuple[str, object]]:
    """The fields of an attrs class or a NamedTuple, with what stands for a default."""
    if attrs.has(owner):
        return [(field.name, default_of(field)) for field in attrs.fields(owner)]
    return [(name, owner._field_defaults.get(name)) for name in owner._fields]


def default_of(field: attrs.Attribute[Any]) -> object:
    default: Any = field.default
    if default is attrs.NOTHING:
        return None
    if hasattr(default, "factory"):
        return None if default.takes_self else default.factory()
    return default


def is_table(wanted: Any) -> bool:
    """Whether a value of this type is a table of settings."""
    if not isinstance(wanted, type) or hasattr(wanted, "parse"):
        return False
    return attrs.has(wanted) or hasattr(wanted, "_fields")


def words(wanted: Any) -> str:
    """A type in words."""
    if wanted in WORDS:
        return WORDS[wanted]
    if get_origin(wanted) is tuple:
        return f"a list, each {words(get_args(wanted)[0])}"
    return cell(describe(wanted))


def shown_default(value: object) -> str:
    """A default as the table has it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple) and value:
        return ", ".join([shown_default(one) for one in value])
    if isinstance(value, Choice):
        return f"`{value.name}`"
    if isinstance(value, int) and value > 9999:
        return f"`{value:_}`"
    text = as_text(value)
    return f"`{text}`" if text else ""


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join([section(table) for table in tables()])


def section(table: Table) -> str:
    """One table of the file."""
    top = not table.place
    title = "Outside of any table" if top else f"`[{table.place}]`"
    about = "" if top else f"{markdown((table.owner.__doc__ or '').strip())}\n\n"
    if not top and "." not in table.place:
        about += f"Reload: {reload(table.place)}. In Python: `{table.owner.__name__}`.\n\n"
    lines = [f"\n## {title}\n"]
    if top:
        lines += ["| key | default | type | reload | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{key.name}` | {key.default} | {key.type} | {reload(key.name)} | {key.meaning} |"
            for key in table.keys
        ]
    else:
        lines += [f"{about}| key | default | type | meaning |", "|---|---|---|---|"]
        lines += [f"| `{key.name}` | {key.default} | {key.type} | {key.meaning} |" for key in table.keys]
    return "\n".join(lines) + "\n"


def reload(key: str) -> str:
    """What becomes of a change in a server that runs."""
    return "yes" if key.replace("-", "_") in RELOADED else "start"


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
