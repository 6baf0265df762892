"""Plug-ins by name: a callable's parameters are its arguments."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import attrs
import pytest
from twisted.plugin import getPlugins
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sipframe import plugins
from sipframe.cli.installed import listing
from sipframe.interfaces import IAuthenticator, ICredentialSource, ILocationStore, IPolicy, IPolicyFactory
from sipframe.plugging import KINDS, Choice, Plugin, check, find, installed, make
from sipframe.policy import BasePolicy

HERE = "tests.test_plugging"


class Around:
    """What the plug-ins here know of a server."""

    base = Path("/base")


@attrs.frozen
class Knobs:
    first: int = attrs.field(default=1)
    second: Annotated[float, "seconds"] = attrs.field(default=2.0)

    @first.validator
    def _some(self, _: object, value: int) -> None:
        if value < 1:
            raise ValueError("first: 1 or more")

    last_one: int = attrs.field(default=1, validator=attrs.validators.ge(1))


class Plain(BasePolicy):
    """A policy.

    And more about it.
    """

    def __init__(
        self, prefix: Annotated[str, "what it begins with"], digits: int = 4, path: Path | None = None
    ) -> None:
        self.known = (prefix, digits, path)


def knobs(
    settings: Knobs, *, surroundings: Any, table: Mapping[str, Any] | None = None
) -> tuple[object, ...]:
    return settings, surroundings, table


def unreadable(what: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    pass


@implementer(IPolicyFactory)
class OwnFactory:
    name = "own"
    description = "A factory by itself."

    def arguments(self) -> object:
        return ()

    def create(self, arguments: dict[str, object], surroundings: object) -> object:
        return BasePolicy()


own = OwnFactory()
thing = 7


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("deny", Choice("deny")),
        ("a.b.C:x=1", Choice("a.b.C", {"x": "1"})),
        ("http:url=https\\://a\\:1/b:every=3", Choice("http", {"url": "https://a:1/b", "every": "3"})),
        ("a:x=", Choice("a", {"x": ""})),
        ("a:x=b=c", Choice("a", {"x": "b=c"})),
    ],
)
def test_choices(text: str, choice: Choice) -> None:
    assert Choice.parse(text) == choice
    assert repr(choice) == f"Choice(name={choice.name!r})"


@pytest.mark.parametrize("text", ["", ":", "a:", "a:x", "a:=1", "a:x=1:x=2", "http:url=https://a"])
def test_what_is_no_choice(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAME|KEY=VALUE|twice"):
        Choice.parse(text)


def test_what_is_no_choice_may_hold_a_password() -> None:
    with pytest.raises(ValueError, match=r"^sql: what follows connect is not KEY=VALUE") as raised:
        Choice.parse("sql:module=psycopg:connect=postgresql://sip:wonderland@host/db")
    assert "wonderland" not in str(raised.value)


def made(name: str, **arguments: object) -> Any:
    around: Any = Around()
    return make(IPolicy, Choice(f"{HERE}.{name}", arguments), around)


def test_parameters_are_arguments() -> None:
    assert made("Plain", prefix="44").known == ("44", 4, None)
    assert made("Plain", prefix="44", digits="3", path="x").known == ("44", 3, Path("/base/x"))
    assert made("Plain", prefix="44", digits=3, path="/x").known == ("44", 3, Path("/x"))


def test_the_fields_of_an_attrs_class_are_arguments() -> None:
    settings, around, table = made("knobs", first="3", table={"a": 1})
    assert settings == Knobs(first=3)
    assert isinstance(around, Around)
    assert table == {"a": 1}


def test_a_factory_by_its_dotted_name() -> None:
    assert find(IPolicy, f"{HERE}.own") is own
    assert isinstance(made("own"), BasePolicy)


@pytest.mark.parametrize(
    ("name", "arguments", "about"),
    [
        ("Plain", {}, "the argument prefix is missing"),
        ("Plain", {"prefix": "4", "digit": "3"}, "no argument digit; known: prefix, digits, path"),
        ("Plain", {"prefix": "4", "digits": "many"}, "digits: 'many' is not a whole number"),
        ("knobs", {"first": "0"}, "first: 1 or more"),
        ("knobs", {"first": "0.5"}, "first: '0.5' is not a whole number"),
        ("knobs", {"surroundings": "x"}, "no argument surroundings"),
        ("knobs", {"last-one": "0"}, "'last-one' must be >= 1: 0"),
        ("unreadable", {"what": "x"}, "annotation"),
        ("thing", {}, "nor anything that makes one"),
        ("nothing", {}, "cannot be imported"),
    ],
)
def test_mistakes_are_one_line(name: str, arguments: dict[str, object], about: str) -> None:
    with pytest.raises(ValueError, match=f"{HERE}.{name}") as caught:
        check(IPolicy, Choice(f"{HERE}.{name}", arguments), Around.base)
    assert about in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r".") as again:
        made(name, **arguments)
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize(
    ("name", "about"),
    [
        (
            "sipframe_nowhere.Thing",
            "Python finds no module 'sipframe_nowhere'; PYTHONPATH=DIRECTORY before the command",
        ),
        ("json.Thing", "module 'json' has no attribute 'Thing'"),
    ],
)
def test_a_dotted_name_that_leads_nowhere(name: str, about: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check(IPolicy, Choice(name), Around.base)
    assert str(caught.value).startswith(f"'{name}' cannot be imported: {about}")


def test_an_unknown_name_lists_the_right_ones() -> None:
    with pytest.raises(
        ValueError, match=r"there is no location store 'redis', only memory, sqlite, or a dotted name"
    ):
        find(ILocationStore, "redis")


def test_checking_makes_nothing(tmp_path: Path) -> None:
    check(ILocationStore, Choice("sqlite", {"path": str(tmp_path / "x")}), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interface", KINDS)
def test_every_stock_plug_in_can_be_described_and_found_by_twisted(interface: Any) -> None:
    factories, broken = installed(interface)
    assert broken == {}
    assert factories
    for name, factory in factories.items():
        verifyObject(KINDS[interface].factory, factory)
        assert find(interface, name) is factory
        assert factory.description.endswith(".")
        assert "\n" not in factory.description
        assert all(argument.name == argument.name.lower() for argument in factory.arguments())
    kind: Any = KINDS[interface].factory
    seen: list[Any] = list(getPlugins(kind, plugins))
    assert {one.name for one in seen} == factories.keys()
    text = "\n".join(listing(interface))
    assert all(f"\n  {name}\n" in text for name in factories)


@pytest.fixture
def dropins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of a third party's files beside our own."""
    before = set(sys.modules)
    monkeypatch.setattr(plugins, "__path__", [*plugins.__path__, str(tmp_path)])
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("sipframe.plugins."):
            del sys.modules[name]


def test_a_third_party_file(dropins: Path) -> None:
    (dropins / "acme.py").write_text(
        "from sipframe.interfaces import IPolicy\nfrom sipframe.plugging import Plugin\n"
        f"plain = Plugin(IPolicy, 'acme', '{HERE}.Plain', 'Short numbers.')\n"
    )
    around: Any = Around()
    assert make(IPolicy, Choice.parse("acme:prefix=1"), around).known == ("1", 4, None)  # type: ignore[attr-defined]
    text = "\n".join(listing(IPolicy))
    assert "  acme\n      Short numbers.\n        prefix=  what it begins with. (text; must be given)" in text


def test_a_broken_file_is_named_and_hurts_nobody(dropins: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (dropins / "broken.py").write_text("import no.such.module\n")
    (dropins / "quitter.py").write_text("raise SystemExit(3)\n")
    assert "memory" in installed(ILocationStore).factories
    assert sorted(installed(IPolicy).broken) == ["sipframe.plugins.broken", "sipframe.plugins.quitter"]
    with pytest.raises(
        ValueError, match=r"no policy 'acme'.*plugins.broken cannot be imported: ModuleNotFoundError"
    ):
        find(IPolicy, "acme")
    assert "sipframe.plugins.broken cannot be imported" in "\n".join(listing(IPolicy))
    assert capfd.readouterr() == ("", "")


def test_a_plug_in_whose_extra_is_not_installed() -> None:
    lacking = Plugin(ICredentialSource, "lacking", "no.such.module.Thing", "Not here.", extra="http")
    with pytest.raises(ValueError, match=r"pip install 'sipframe\[http\]'"):
        lacking.arguments()


@pytest.mark.parametrize("name", ["", "Digest", "a b", "a:b", "a.b", "ä"])
def test_names_that_nobody_could_type(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        Plugin(IAuthenticator, name, "a.b", "x.")
