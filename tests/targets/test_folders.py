"""Targets in folders: plain ones, those of the Hugging Face Hub, Delta tables."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from tasks.commands.verify import verify
from tasks.errors import VerificationError, WorkspaceError
from tasks.publishing.delivery import deliver
from tasks.publishing.targets.base import Copy
from tasks.publishing.verification import verify_release
from tests.copies import DATASET, copy_of, made, plan
from tests.releases import image_inputs


def test_copies_verify_where_they_are(copies: list[Copy], tmp_path: Path) -> None:
    deliver(made("folder", tmp_path, path="shared"), plan(copies))
    folder = tmp_path / "shared" / DATASET
    assert (folder / "current").readlink() == Path("v3")
    assert verify(folder / "current") == 0


def test_a_withdrawn_copy_says_so_itself(copies: list[Copy], tmp_path: Path) -> None:
    target = made("folder", tmp_path, path="shared")
    deliver(target, plan(copies[:2]))
    deliver(target, plan(copies[:2], 2))
    folder = tmp_path / "shared" / DATASET
    assert verify(folder / "current") == 0
    with pytest.raises(
        VerificationError, match=r"WITHDRAWN .* must no longer be used: it was wrong"
    ):
        verify(folder / "v2")
    # A notice is about one release: beside another one it says nothing.
    shutil.copy(folder / "v2.withdrawn.json", folder / "v1.withdrawn.json")
    assert verify(folder / "v1") == 0
    notice = folder / "v1.withdrawn.json"
    notice.write_text(notice.read_text().replace('"sig": "', '"sig": "A'))
    with pytest.raises(VerificationError, match=r"v1\.withdrawn\.json"):
        verify(folder / "v1")


def test_a_pointer_that_is_no_link_is_left_alone(copies: list[Copy], tmp_path: Path) -> None:
    folder = tmp_path / "shared" / DATASET
    (folder / "current").mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="a link that Proofmint made"):
        deliver(made("folder", tmp_path, path="shared"), plan(copies))


LOADING = """
import datasets, sys
rows = datasets.load_dataset(sys.argv[1], split="train")
print(rows.num_rows, rows.features["age"].dtype)
"""


def test_the_hub_s_folder_is_loaded_offline_and_verified_wherever_it_went(
    copies: list[Copy], tmp_path: Path
) -> None:
    target = made("huggingface", tmp_path, path="hub")
    deliver(target, plan(copies))
    current = tmp_path / "hub" / DATASET / "current"
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(current.resolve())],
        env=offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["23", "int64"], done.stderr[-2000:]
    clone = tmp_path / "clone"
    shutil.copytree(current, clone)
    (clone / ".git").mkdir()
    (clone / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert verify_release(clone).attestation.facts["version"] == "v3"
    (clone / "data" / "more.parquet").write_bytes(b"")
    with pytest.raises(VerificationError, match=r"data/more\.parquet: not in the manifest"):
        verify_release(clone)
    deliver(target, plan(copies, 3))
    shutil.rmtree(clone)
    shutil.copytree(tmp_path / "hub" / DATASET / "v3", clone)
    with pytest.raises(VerificationError, match="WITHDRAWN"):
        verify(clone)


def test_delta_has_the_rows_of_each_version_and_keeps_what_retention_says(
    copies: list[Copy], tmp_path: Path
) -> None:
    target = made("delta", tmp_path, path="lake", retention_hours=0)
    for n in (1, 2, 3):
        deliver(target, plan(copies[:n], keep=2))
    place = tmp_path / "lake" / DATASET / "patients"
    table = DeltaTable(place)
    assert table.count() == 23
    released = pq.read_table(copies[2].tables[0].folder)
    there = pq.read_table([place / file for file in table.file_uris()])
    assert there.to_pydict() == released.to_pydict()
    last = next(entry for entry in table.history() if "proofmint.version" in entry)
    files = {n: DeltaTable(place, version=n).file_uris() for n in range(3)}
    assert last["proofmint.version"] == "v3"
    assert [Path(files[n][0]).exists() for n in range(3)] == [False, True, True]


def test_delta_keeps_images(tmp_path: Path) -> None:
    copy = copy_of(tmp_path / "made", 1, image_inputs)
    deliver(made("delta", tmp_path, "shapes", path="lake"), plan([copy]))
    place = tmp_path / "lake" / "shapes" / "shapes"
    (file,) = DeltaTable(place).file_uris()
    first = pq.read_table(place / file).to_pylist()[0]
    assert first["image"]["bytes"].startswith(b"\x89PNG")
