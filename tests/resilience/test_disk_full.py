"""The disk is full while a release is made or a generator learns: said, nothing lost, done later."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tasks import versions
from tasks.storage import read_json
from tests import steps
from tests.resilience.test_power_loss import check_it_is_done, check_nothing_is_lost
from tests.small_project import DATASET, at, make_project, run_pipeline

RELEASE = ["release", DATASET]


@pytest.fixture(scope="module")
def fresh() -> Iterator[ProcessPoolExecutor]:
    with steps.processes() as pool:
        yield pool


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(tmp_path)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk of one's own needs the right to mount one")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(disk: Path, left_bytes: int) -> Path:
    """A file that leaves so much of the disk."""
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, free - left_bytes)
    return filler


def test_while_publishing(small_disk: Path, fresh: ProcessPoolExecutor) -> None:
    root = make_project(small_disk / "project")
    run_pipeline(root, root, 40)
    assert fresh.submit(steps.run, root, RELEASE).result() == 0
    before = {v.tag: v.commit for v in versions.versions(root, DATASET)}
    run_pipeline(root, root, 50)
    refused = 0
    for left_bytes in (0, 32_768, 131_072):
        filler = fill(small_disk, left_bytes)
        status, said = fresh.submit(steps.said, root, RELEASE).result()
        filler.unlink()
        check_nothing_is_lost(root, before)
        if status:
            refused += 1
            assert status == 8, said
            assert "o space" in said, said
            assert "internal error" not in said
    assert refused
    assert fresh.submit(steps.run, root, RELEASE).result() == 0
    check_it_is_done(root, 2)


def test_while_training(small_disk: Path, fresh: ProcessPoolExecutor) -> None:
    root = make_project(small_disk / "project")
    run_pipeline(root, root, 40)
    (at(root).split / "train").rename(at(root).balanced)
    model = at(root).model / "model.json"
    before = model.read_bytes()
    refused = 0
    for left_bytes in (0, 262_144):
        filler = fill(small_disk, left_bytes)
        status, said = fresh.submit(steps.said, root, ["train", DATASET]).result()
        filler.unlink()
        if status:
            refused += 1
            assert status == 8, said
            assert "o space" in said, said
            assert model.read_bytes() == before
    assert refused
    assert fresh.submit(steps.run, root, ["train", DATASET]).result() == 0
    assert read_json(model)["generator"] == "autoregressive"
