"""``twistd`` knows ``sipregistrar`` however sipframe came here, and knowing it costs nothing."""

from __future__ import annotations

import pytest

from tests.packaging.conftest import Environment
from tests.tree import ROOT

LAZY = """
import sys
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
(maker,) = [one for one in getPlugins(IServiceMaker) if one.tapname == "sipregistrar"]
print(maker.description)
loaded = [name for name in sys.modules if name == "sipframe" or name.startswith("sipframe.")]
assert loaded == [], loaded
assert "twisted.internet.reactor" not in sys.modules
"""

OPTIONS = ("--listen", "--certificate", "--private-key", "--domain", "--realm", "--state", "--location")


@pytest.fixture(params=["wheel", "editable", "tree"])
def installed(request: pytest.FixtureRequest) -> tuple[Environment, dict[str, str]]:
    """An environment that has sipframe in one of the three ways, and the variables that its commands need."""
    environment: Environment = request.getfixturevalue(f"from_{request.param}")
    return environment, {"PYTHONPATH": str(ROOT)} if request.param == "tree" else {}


def test_twistd_lists_it(installed: tuple[Environment, dict[str, str]]) -> None:
    environment, variables = installed
    assert "sipregistrar" in environment.twistd("--help", **variables)


def test_twistd_shows_its_options(installed: tuple[Environment, dict[str, str]]) -> None:
    environment, variables = installed
    shown = environment.twistd("sipregistrar", "--help", **variables)
    assert [option for option in OPTIONS if option not in shown] == []


def test_the_plug_in_is_lazy(installed: tuple[Environment, dict[str, str]]) -> None:
    environment, variables = installed
    assert "SIP registrar" in environment.run("-c", LAZY, **variables)
