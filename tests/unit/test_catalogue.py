import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import catalogue
from tasks.errors import DataError, VerificationError, WorkspaceError
from tasks.releases import open_candidate, open_release
from tasks.storage import digest
from tasks.versions import Version, publish_version
from tasks.workspace import git
from tasks.worktrees import path_of
from tests.released_project import OTHER, REASON, make_releases
from tests.small_project import DATASET


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("catalogue") / "project"
    make_releases(root)
    return root


@pytest.fixture
def versions(project: Path) -> tuple[Version, ...]:
    found = catalogue.entry(project, DATASET)
    assert found is not None
    return found.versions


def test_datasets_are_those_of_params_and_of_git(project: Path) -> None:
    found = catalogue.entries(project)
    assert list(found) == [DATASET, OTHER]
    assert [v.name for v in found[DATASET].versions] == ["v1", "v2"]
    assert found[OTHER].newest is None
    assert found[DATASET].newest == found[DATASET].standing == found[DATASET].version("v2")


@pytest.mark.parametrize(
    "name", ["nobody", "../patients", "patients/../visits", "", "-x", "Patients", "a\n", "a" * 99]
)
def test_no_other_name_is_a_dataset(project: Path, name: str) -> None:
    assert catalogue.entry(project, name) is None


def test_every_version_is_read_without_a_checkout(
    project: Path, versions: tuple[Version, ...]
) -> None:
    rows = []
    for version in versions:
        release = open_release(project, version)
        assert digest(release.place("evidence/manifest.json")) == version.digest
        assert release.read("report.html").startswith(b"<!doctype html>")
        assert {"raw", "release"} <= release.verdicts.keys()
        assert {r.measurement.name for r in release.results} >= {"shape_error", "tstr"}
        assert any(r.passed for r in release.results)
        rows.append(version.rows)
    assert rows == sorted(rows)
    assert len(set(rows)) == 2


def test_nothing_is_written(project: Path, versions: tuple[Version, ...]) -> None:
    def tree() -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in project.rglob("*")}

    before = tree()
    catalogue.entries(project)
    catalogue.refusals(project, DATASET)
    for version in versions:
        _ = open_release(project, version).results
        catalogue.signature(project, version)
        catalogue.lineage(project, version)
    assert tree() == before


@pytest.mark.parametrize(
    "path", ["../params.yaml", "/etc/passwd", "evidence", "", "data/../README.md"]
)
def test_only_files_of_the_manifest_are_served(
    project: Path, versions: tuple[Version, ...], path: str
) -> None:
    with pytest.raises(DataError, match="has no file"):
        open_release(project, versions[-1]).place(path)


def test_a_changed_file_is_not_shown(project: Path, versions: tuple[Version, ...]) -> None:
    place = open_release(project, versions[0]).place("README.md")
    content, mode = place.read_bytes(), place.stat().st_mode
    place.chmod(0o644)
    place.write_bytes(content + b"more")
    try:
        release = open_release(project, versions[0])
        for get in (release.read, release.place):
            with pytest.raises(VerificationError, match=r"README.md was changed since it was"):
                get("README.md")
    finally:
        place.write_bytes(content)
        place.chmod(mode)


def test_the_newest_version_is_read_from_its_folder_where_the_cache_is_elsewhere(
    project: Path, versions: tuple[Version, ...]
) -> None:
    cache, away = project / ".dvc" / "cache", project / ".dvc" / "away"
    cache.rename(away)
    try:
        newest = open_release(project, versions[-1])
        assert newest.place("report.html") == project / "releases" / DATASET / "report.html"
        assert newest.results
        older = open_release(project, versions[0])
        with pytest.raises(VerificationError, match="is not the one that was released"):
            _ = older.files
        link = project / "releases" / DATASET / "report.html"
        link.rename(link.with_suffix(".away"))
        link.symlink_to("/etc/passwd")
        with pytest.raises(WorkspaceError, match="is not on this machine"):
            newest.place("report.html")
        link.unlink()
        link.with_suffix(".away").rename(link)
    finally:
        away.rename(cache)


def test_the_lineage_leads_from_the_generator_to_the_release(
    project: Path, versions: tuple[Version, ...]
) -> None:
    products = catalogue.lineage(project, versions[-1])
    assert [p.stage for p in products] == ["train", "sample", "publish"]
    assert products[-1].md5 == versions[-1].revision
    assert catalogue.source_type(project, versions[-1])


def test_a_signature_is_checked_against_the_tag(
    project: Path, versions: tuple[Version, ...]
) -> None:
    signature = catalogue.signature(project, versions[-1])
    assert signature.fault is None
    assert signature.by_project is True
    assert signature.facts["version"] == "v2"
    forged = catalogue.signature(project, Version(**{**vars(versions[-1]), "digest": "0" * 64}))
    assert forged.fault == "it signs another manifest than the tag names"


def test_a_withdrawal_and_a_refusal_are_told(project: Path, versions: tuple[Version, ...]) -> None:
    assert versions[0].withdrawn is not None
    assert versions[0].withdrawn.reason == REASON
    (refusal,) = catalogue.refusals(project, DATASET)
    assert (refusal.gate, refusal.n_expectations) == ("release", 6)
    assert refusal.checks[0]["observed"] == "12.5"
    assert catalogue.refusals(project, OTHER) == []


def test_evidence_of_another_form_is_an_error_of_ours(project: Path) -> None:
    root = path_of(project, DATASET, "run")
    folder = root / "releases" / DATASET
    shutil.copytree(project / "releases" / DATASET, folder)
    candidate = open_candidate(project, DATASET, "run")
    assert candidate is not None
    assert candidate.results
    metrics, manifest = folder / "evidence" / "metrics.json", folder / "evidence" / "manifest.json"
    before = candidate.files["evidence/metrics.json"].sha256
    metrics.write_text('[{"of": "another time"}]')
    manifest.write_text(manifest.read_text().replace(before, digest(metrics)))
    changed = open_candidate(project, DATASET, "run")
    assert changed is not None
    with pytest.raises(VerificationError, match="has a form that this Proofmint does not read"):
        _ = changed.results
    shutil.rmtree(root)
    assert open_candidate(project, DATASET, "run") is None


def test_a_wrong_entry_is_told_and_stops_no_other(
    project: Path, versions: tuple[Version, ...]
) -> None:
    params = project / "params.yaml"
    text = params.read_text()
    wrong = ["2024: 1", "null: 1", "-x: 1", "a/b: {}", '"\\0": 1', "empty:", "text: x", "list: []"]
    try:
        params.write_text(text + "".join(f"  {line}\n" for line in wrong))
        found = catalogue.entries(project)
        assert found[DATASET].versions == versions
        assert found[DATASET].fault is found[OTHER].fault is None
        faults = {name: entry for name, entry in found.items() if entry.fault}
        assert len(faults) == len(wrong)
        assert [name for name, entry in faults.items() if entry.has_page] == [
            "empty",
            "text",
            "list",
        ]
        params.write_bytes(text.encode() + b"# \xff")
        with pytest.raises(WorkspaceError, match="cannot read"):
            catalogue.entries(project)
    finally:
        params.write_text(text)


def test_a_tag_of_somebody_elses_making_is_no_version(
    project: Path, versions: tuple[Version, ...]
) -> None:
    message = versions[-1].message.replace("Rows: 50", "Rows: many")
    assert "many" in message
    try:
        git(project, "tag", "-a", f"{DATASET}@v8", "-m", message)
        git(project, "tag", "-a", f"A name@v{'9' * 30}".replace(" ", "_"), "-m", message)
        found = catalogue.entries(project)
        assert list(found) == [DATASET, OTHER]
        assert found[DATASET].versions == versions
    finally:
        git(project, "tag", "-d", f"{DATASET}@v8", f"A_name@v{'9' * 30}")


def test_git_is_asked_once_however_many_partitions_there_are(
    project: Path, versions: tuple[Version, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    shutil.copytree(project, root)
    names = [f"{OTHER}__2026_{month:02d}" for month in range(1, 13)]
    for name in names:
        publish_version(root, replace(versions[-1], dataset=name, number=1), None)
    trace = tmp_path / "git.log"
    monkeypatch.setenv("GIT_TRACE", str(trace))
    entry = catalogue.entry(root, OTHER)
    assert entry is not None
    assert [part.name for part in entry.partitions] == names
    assert all(part.settings == entry.settings for part in entry.partitions)
    found = entry.version_of_commit(versions[-1].commit)
    assert found is not None
    assert found.tag == f"{names[0]}@v1"
    assert trace.read_text().count("built-in: git") == 1


def test_a_partition_belongs_to_its_dataset() -> None:
    assert catalogue.dag_of("sales__2026_03") == "sales"
    assert catalogue.dag_of("sales") == "sales"
