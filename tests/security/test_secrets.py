"""No secret is anywhere but where it belongs, after the whole pipeline has run in Airflow.

Marked words are planted as passwords of the source and of MLflow, beside the keys that the project makes. Then every file
that the run left, every object of git, every file of DVC and MLflow is searched for them.
"""

import base64
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex

import pytest
import sqlalchemy as sa
import yaml

from tasks.commands import demo_source
from tasks.commands.postgres import PostgresServer
from tests.conftest import DemoSource
from tests.e2e.conftest import LENIENT, Project
from tests.projects import copy_project

# Made at each run: this file is in the project, too.
CANARIES = {
    "the password of the source": token_hex(12),
    "the password of the mail server": token_hex(12),
    "the address of a webhook": f"https://hooks.example/{token_hex(12)}",
    "a key of the object store": token_hex(12),
    "a key of Airflow": token_hex(12),
}
OWN_PLACES = ("keys/", "secrets/")
"""Of the state: what is in them is a secret, and only its owner may read it."""


def forms(secret: bytes) -> set[bytes]:
    """A secret as it is, and as it may be written elsewhere."""
    text = secret.decode("latin-1")
    return {
        secret,
        base64.b64encode(secret).rstrip(b"="),
        urllib.parse.quote(text, safe="").encode(),
        secret.hex().encode(),
    }


@dataclass(frozen=True)
class Ran:
    """What has run, and what it printed."""

    project: Project
    said: list[str]


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    demo_sources: DemoSource,
) -> Iterator[Ran]:
    """A project whose source wants a password, after a run of its DAG and one that failed."""
    root = copy_project(tmp_path_factory.mktemp("secrets") / "project")
    settings = yaml.safe_load((root / "params.yaml").read_text())
    entry = settings["datasets"]["breast_cancer"]
    entry["train"] = {"epochs": 2}
    entry["thresholds"] |= LENIENT["breast_cancer"]
    (root / "params.yaml").write_text(
        yaml.safe_dump({"datasets": {"breast_cancer": entry}}, sort_keys=False)
    )
    password = CANARIES["the password of the source"]
    owner = sa.create_engine(demo_sources.owner_url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.execute(sa.text(f"CREATE ROLE guarded LOGIN PASSWORD '{password}'"))
        connection.execute(sa.text("GRANT pg_read_all_data TO guarded"))
    url = sa.make_url(postgres_server.url(demo_source.DATABASE)).set(
        username="guarded", password=password
    )
    project = Project(
        root,
        {
            "PROOFMINT_DEMO": url.render_as_string(hide_password=False),
            "PYTHONPATH": str(root),
            "AIRFLOW__SMTP__SMTP_PASSWORD": CANARIES["the password of the mail server"],
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(
                CANARIES["a key of Airflow"].encode().ljust(32)
            ).decode(),
            "PROOFMINT_ALERTS": CANARIES["the address of a webhook"],
            "AWS_SECRET_ACCESS_KEY": CANARIES["a key of the object store"],
        },
    )
    project.git("add", "-A")
    project.git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "quick")
    ended = project.proofmint("run", "breast_cancer", "--airflow")
    assert ended.status == 0, ended.errors
    said = [ended.output, ended.errors]
    broken = project.env["PROOFMINT_DEMO"].replace(f"/{demo_source.DATABASE}", "/nowhere")
    ended = project.proofmint("run", "breast_cancer", "--airflow", env={"PROOFMINT_DEMO": broken})
    assert ended.status == 5, ended.errors
    said += [ended.output, ended.errors]
    yield Ran(project, said)
    with owner.connect() as connection:
        connection.execute(sa.text("DROP OWNED BY guarded; DROP ROLE guarded"))
    owner.dispose()


@pytest.fixture(scope="module")
def project(ran: Ran) -> Project:
    return ran.project


@pytest.fixture(scope="module")
def secrets(project: Project) -> dict[str, set[bytes]]:
    """What must be found nowhere, by what it is."""
    state = project.root / ".proofmint"
    found = {what: forms(word.encode()) for what, word in CANARIES.items()}
    pem = (state / "keys" / "ed25519.pem").read_text()
    (body,) = re.findall(r"KEY-----\n(.+?)\n-----END", pem, re.DOTALL)
    found["the signing key"] = forms(base64.b64decode(body)[-32:]) | {body.encode()}
    return found


def search(content: bytes, secrets: dict[str, set[bytes]]) -> list[str]:
    return [what for what, words in secrets.items() if any(word in content for word in words)]


def test_the_search_finds_what_is_there(project: Project, secrets: dict[str, set[bytes]]) -> None:
    key = (project.root / ".proofmint" / "keys" / "ed25519.pem").read_bytes()
    assert search(key, secrets) == ["the signing key"]
    word = CANARIES["the password of the mail server"].encode()
    assert search(b"xx" + base64.b64encode(word), secrets)


def test_no_file_that_a_run_left_holds_a_secret(
    project: Project, secrets: dict[str, set[bytes]]
) -> None:
    """Logs, checkpoints, MLflow's store, Airflow's databases, DVC's cache, the release, its attestation."""
    n_files = 0
    for path in project.root.rglob("*"):
        place = path.relative_to(project.root).as_posix()
        if path.is_symlink() or not path.is_file() or place.startswith(".git/"):
            continue
        n_files += 1
        if place.removeprefix(".proofmint/").startswith(OWN_PLACES):
            if not place.endswith(".pub.pem"):
                assert path.stat().st_mode & 0o077 == 0, f"others may read {place}"
            continue
        assert not search(path.read_bytes(), secrets), place
    assert n_files > 300
    assert (project.root / ".proofmint").stat().st_mode & 0o077 == 0


def test_nothing_that_was_printed_holds_a_secret(ran: Ran, secrets: dict[str, set[bytes]]) -> None:
    for text in ran.said:
        assert not search(text.encode(), secrets)


def test_no_object_of_git_holds_a_secret(project: Project, secrets: dict[str, set[bytes]]) -> None:
    done = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"],
        cwd=project.root,
        capture_output=True,
        check=True,
    )
    assert len(done.stdout) > 1_000_000
    assert not search(done.stdout, secrets)


def test_the_worktrees_of_ended_runs_are_gone(project: Project) -> None:
    folder = project.root / ".proofmint" / "worktrees"
    assert not [path for path in folder.rglob("*") if path.is_file()]
