"""Real parts for all tests: a PostgreSQL, an empty database in it, the demo's sources."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

import __main__

# Before torch is imported: its threads wait for each other where cores are busy with something else.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if not hasattr(__main__, "__file__"):
    # A process of pytest-xdist. pyspark takes one without a main file for a doctest, and ends it.
    __main__.__file__ = os.devnull

from tasks.commands import demo_source, postgres
from tasks.commands.postgres import PostgresServer
from tests import mariadb
from tests.mariadb import MariadbServer

_numbers = itertools.count()

# The same examples in every run; a draw of one's own: pytest --hypothesis-profile=default.
hypothesis.settings.register_profile("the same examples", derandomize=True, deadline=None)
hypothesis.settings.load_profile("the same examples")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL 18 for the session; started by the first test that asks for it."""
    with postgres.running(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    """The SQLAlchemy URL of an empty database of the test's own."""
    name = f"test_{next(_numbers)}"
    postgres_server.create_database(name)
    return postgres_server.url(name)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    """A MariaDB for the session; the tests that ask for it are skipped where it is not installed."""
    with mariadb.running() as server:
        yield server


@pytest.fixture
def mariadb_database(mariadb_server: MariadbServer) -> str:
    """The name of an empty database of the test's own."""
    name = f"test_{next(_numbers)}"
    mariadb_server.run(None, f"CREATE DATABASE {name}")
    return name


@dataclass(frozen=True)
class DemoSource:
    """The demo's sources.

    Attributes:
        url: the database with the table `breast_cancer`, for a role that cannot write.
        owner_url: the same for a role that may do anything; a test that does should rather fill a
            database of its own.
        digits: the folder `<label>/<number>.png`.
    """

    url: str
    owner_url: str
    digits: Path


@pytest.fixture(scope="session")
def demo_sources(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> DemoSource:
    """The table `breast_cancer` and the images of `digits`, to read."""
    digits = tmp_path_factory.mktemp("demo") / "digits"
    demo_source.write_digits(digits)
    url = demo_source.fill(postgres_server)
    return DemoSource(url, postgres_server.url(demo_source.DATABASE), digits)
