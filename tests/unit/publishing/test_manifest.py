from pathlib import Path

import pytest

from tasks.errors import VerificationError
from tasks.publishing.manifest import MANIFEST_FILE, Manifest, faults, write_manifest
from tasks.storage import read_json, write_json


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "patients"
    (folder / "evidence").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "README.md").write_text("hello\n")
    (folder / "data" / "b").write_bytes(b"")
    write_manifest(folder, "patients", {"model": None})
    return folder


def test_a_manifest_lists_every_file_but_itself_in_order(release: Path) -> None:
    manifest = Manifest.load(release)
    assert [(f.path, f.size_bytes) for f in manifest.files] == [("README.md", 6), ("data/b", 0)]
    # sha256 of nothing
    assert manifest.files[1].sha256.startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert faults(release, manifest) == []


def test_every_kind_of_change_is_named(release: Path) -> None:
    manifest = Manifest.load(release)
    (release / "README.md").write_text("jello\n")
    (release / "data" / "b").unlink()
    (release / "data" / "c").write_text("new")
    (release / "data" / "d").symlink_to(release / "README.md")
    (release / "extra").mkdir()
    (release / "extra" / "e").write_text("")
    assert faults(release, manifest) == [
        "README.md: changed: another sha256 than in the manifest",
        "data/b: missing",
        "data/c: not in the manifest",
        "data/d: a link, which a release may not hold",
        "extra/e: not in the manifest",
    ]


def test_another_size_is_named_without_reading_the_file(release: Path) -> None:
    (release / "README.md").write_text("hello, world\n")
    assert faults(release, Manifest.load(release)) == ["README.md: changed: 13 bytes instead of 6"]


def test_a_link_in_place_of_a_file_or_a_folder_is_refused(release: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(release)
    (release / "README.md").rename(tmp_path / "README.md")
    (release / "README.md").symlink_to(tmp_path / "README.md")
    (release / "data").rename(tmp_path / "data")
    (release / "data").symlink_to(tmp_path / "data")
    assert faults(release, manifest) == [
        "README.md: a link, which a release may not hold",
        "data/b: missing",
        "data: a link, which a release may not hold",
    ]


def test_a_name_that_would_steer_the_terminal_is_shown_harmless(release: Path) -> None:
    (release / "a\x1b[2Jb").write_text("")
    assert faults(release, Manifest.load(release)) == [
        "'a\\x1b[2Jb': a name with unprintable characters"
    ]


@pytest.mark.parametrize(
    "path",
    ["../outside", "/etc/passwd", "data/../../x", "data//b", "./b", "data\\b", "C:/x", "a\nb", "."],
)
def test_a_path_that_leaves_the_release_is_refused(release: Path, path: str) -> None:
    content = read_json(release / MANIFEST_FILE)
    content["files"][0]["path"] = path
    write_json(release / MANIFEST_FILE, content)
    with pytest.raises(VerificationError, match="path inside the release"):
        Manifest.load(release)


def test_a_file_may_not_be_listed_twice(release: Path) -> None:
    content = read_json(release / MANIFEST_FILE)
    content["files"] = [content["files"][0]] * 2
    write_json(release / MANIFEST_FILE, content)
    with pytest.raises(VerificationError, match="each file once"):
        Manifest.load(release)


def test_a_folder_that_is_no_release_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="expected a release"):
        Manifest.load(tmp_path)
