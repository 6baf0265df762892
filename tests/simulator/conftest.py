"""``pytest tests/simulator --seed=N`` runs one scenario, such as one that has failed elsewhere."""

from __future__ import annotations

import pytest

SEEDS = range(1, 25)
"""Those of every run of the tests; together they are some thousand hours."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="the only scenario of tests/simulator to run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        # Where the option came too late, because other folders were asked for, it is as if it were not there.
        wanted = metafunc.config.getoption("--seed", default=None)
        metafunc.parametrize("seed", SEEDS if wanted is None else [wanted])
