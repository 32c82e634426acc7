"""Every publishing target, held to its contract: real folders, a real PostgreSQL, a served S3 API."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from moto.server import ThreadedMotoServer

from tasks import registry
from tasks.errors import ParamsError, WorkspaceError
from tasks.operation import TargetParams
from tasks.publishing.attestation import ReleaseFacts, attest
from tasks.publishing.delivery import PACKAGE, Plan, deliver, mark, targets_of
from tasks.publishing.manifest import MANIFEST_FILE
from tasks.publishing.notices import sign_notice
from tasks.publishing.targets.base import Copy, Target
from tasks.publishing.verification import attestation_of
from tasks.stages.publish import publish
from tasks.storage import digest
from tasks.versions import Version, Withdrawal
from tests.releases import tabular_inputs

KEY = Ed25519PrivateKey.generate()
DATASET = "patients"

_numbers = itertools.count()


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[Copy]:
    """Three versions of one dataset."""
    return [
        copy_of(tmp_path_factory.mktemp(f"v{n}"), n, tabular_inputs, n_rows=20 + n)
        for n in (1, 2, 3)
    ]


def copy_of(root: Path, number: int, inputs: Callable[..., Any], **settings: Any) -> Copy:
    case = inputs(root, **settings)
    publish(case.at, case.params)
    facts = ReleaseFacts(case.at.dataset, f"v{number}", "c" * 40, "d" * 32 + ".dir", "now")
    attest(case.at.release, attestation_of(case.at.release), facts, KEY)
    manifest = digest(case.at.release / MANIFEST_FILE)
    version = Version(case.at.dataset, number, "c" * 40, "d.dir", manifest, 20, "passed", "now")
    return Copy(version, case.at.release, attestation_of(case.at.release).read_text())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket; credentials are in a connection of Airflow's form."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    query = f"endpoint_url={endpoint}&region_name=us-east-1"
    monkeypatch.setenv("AIRFLOW_CONN_BUCKET", f"aws://id-of-the-key:hush-hush@/?{query}")
    name = f"bucket-{next(_numbers)}"
    store(endpoint).mkdir(name)
    return f"s3://{name}"


def store(endpoint: str) -> s3fs.S3FileSystem:
    """Another client than the target's own."""
    return s3fs.S3FileSystem(
        key="id-of-the-key",
        secret="hush-hush",
        endpoint_url=endpoint,
        skip_instance_cache=True,
        use_listings_cache=False,
    )


@pytest.fixture(params=registry.names(PACKAGE))
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Target:
    """A target with nothing in it."""
    settings: dict[str, Any] = {"path": str(tmp_path / "there")}
    if request.param == "s3":
        bucket = request.getfixturevalue("bucket")
        settings = {"url": f"{bucket}/releases", "connection": "bucket"}
    if request.param == "postgres":
        monkeypatch.setenv("WAREHOUSE", request.getfixturevalue("database"))
        settings = {"connection": "WAREHOUSE"}
    return made(request.param, tmp_path, **settings)


def made(kind: str, project: Path, dataset: str = DATASET, **settings: Any) -> Target:
    entry = TargetParams.model_validate({"type": kind, **settings})
    (found,) = targets_of([entry], dataset, project, "publish.to")
    return found


def plan(copies: list[Copy], *withdrawn: int, keep: int | None = None) -> Plan:
    """What git would say of these versions."""
    known = {copy.number: copy for copy in copies}
    return Plan(
        [taken_back(c.version) if c.number in withdrawn else c.version for c in copies],
        keep,
        lambda version: known[version.number],
    )


def taken_back(version: Version) -> Version:
    notice = sign_notice(version, "it was wrong", "Ada", "2026-11-21T00:00:00+00:00", KEY)
    because = Withdrawal("it was wrong", "Ada", "2026-11-21T00:00:00+00:00", notice)
    return dataclasses.replace(version, withdrawn=because)


def never(version: Version) -> Copy:
    raise AssertionError(f"{version.name} was copied again")


def test_a_target_follows_what_git_says(target: Target, copies: list[Copy]) -> None:
    assert (target.held(), target.current()) == ({}, None)
    assert deliver(target, plan(copies[:1])) == "v1 is current"
    assert deliver(target, plan(copies)) == "v3 is current"
    assert (set(target.held()), target.current()) == ({1, 3}, 3)
    assert target.held()[3] == copies[2].version.digest


def test_the_same_again_copies_nothing(target: Target, copies: list[Copy]) -> None:
    deliver(target, plan(copies))
    again = dataclasses.replace(plan(copies), copy=never)
    assert deliver(target, again) == "v3 is current, as it was"


def test_what_is_not_whole_is_not_current_and_is_finished_later(
    target: Target, copies: list[Copy]
) -> None:
    deliver(target, plan(copies[:1]))
    target.put(copies[1])  # and then the power went
    assert set(target.held()) == {1, 2}
    assert target.current() == 1
    assert deliver(target, plan(copies[:2])) == "v2 is current"


def test_a_withdrawn_version_gives_way_to_the_one_before(
    target: Target, copies: list[Copy]
) -> None:
    for n in (1, 2, 3):
        deliver(target, plan(copies[:n]))
    again = dataclasses.replace(plan(copies, 3), copy=never)
    assert deliver(target, again) == "v2 is current"
    assert deliver(target, again) == "v2 is current, as it was"
    assert deliver(target, plan(copies, 1, 2, 3)) == "no version stands"
    assert target.current() is None
    assert mark(target, plan(copies, 1, 2, 3)) == "nothing is current"


def test_the_version_before_is_brought_where_it_is_not_held(
    target: Target, copies: list[Copy]
) -> None:
    deliver(target, plan(copies))
    assert deliver(target, plan(copies, 3)) == "v2 is current"


def test_retention_drops_the_oldest_and_never_what_is_current(
    target: Target, copies: list[Copy]
) -> None:
    for n in (1, 2, 3):
        deliver(target, plan(copies[:n], keep=2))
    assert set(target.held()) == {2, 3}
    deliver(target, plan(copies, 3, keep=1))
    assert target.current() == 2
    deliver(target, plan(copies, keep=1))
    assert (set(target.held()), target.current()) == ({3}, 3)


def test_other_bytes_under_the_same_number_are_not_touched(
    target: Target, copies: list[Copy]
) -> None:
    deliver(target, plan(copies[:1]))
    other = dataclasses.replace(copies[0].version, digest="0" * 64)
    with pytest.raises(WorkspaceError, match="two projects share this place"):
        deliver(target, Plan([other], None, never))
    assert target.current() == 1


def test_a_project_that_knows_less_leaves_what_is_newer(target: Target, copies: list[Copy]) -> None:
    deliver(target, plan(copies))
    assert "v3 is newer" in deliver(target, Plan([copies[0].version], None, never))
    assert target.current() == 3


@pytest.mark.parametrize("kind", registry.names(PACKAGE))
def test_a_wrong_setting_is_named_before_anything_is_done(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=rf"publish\.to\.0 \({kind}\)[^$]*colour: unknown key"):
        made(kind, tmp_path, colour="red")
