import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from tasks.errors import VerificationError, WorkspaceError
from tasks.maintenance.archive import FORMAT, MANIFEST, extract, files_below, verify, writing


def write(folder: Path, files: dict[str, str]) -> Path:
    """An archive of some texts."""
    place = folder / "a.tar"
    with writing(place, folder) as archive:
        archive.facts["head"] = "main"
        for name, text in files.items():
            (folder / "file").write_text(text)
            assert archive.add(name, folder / "file")
    return place


def forge(place: Path, members: list[tarfile.TarInfo]) -> Path:
    """A tar with a manifest of ours and members that we would not write."""
    with tarfile.open(place, "w") as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(b""))
        manifest = json.dumps({"format": FORMAT, "files": {}}).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(manifest)
        tar.addfile(info, io.BytesIO(manifest))
    return place


def test_what_was_added_comes_out_with_its_rights_and_time(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    secret.chmod(0o600)
    os.utime(secret, (1_000_000_000, 1_000_000_000))
    place = tmp_path / "a.tar"
    with writing(place, tmp_path) as archive:
        archive.add("keys/secret", secret)
        assert not archive.add("gone", tmp_path / "gone")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert list(verify(place)["files"]) == ["keys/secret"]
    extract(place, tmp_path / "out", lambda name: tmp_path / "out" / name)
    found = tmp_path / "out" / "keys" / "secret"
    assert found.read_text() == "key"
    assert stat.S_IMODE(found.stat().st_mode) == 0o600
    assert found.stat().st_mtime == 1_000_000_000


def test_equal_files_give_equal_archives(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    places = [tmp_path / name / "a.tar" for name in ("one", "two")]
    source = tmp_path / "file"
    source.write_text("x")
    for place in places:
        with writing(place, place.parent) as archive:
            archive.add("x", source)
            os.utime(source, (5, 5))
    first, second = (verify(place) for place in places)
    assert first == second


def test_a_failed_one_leaves_nothing_and_an_existing_one_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing(tmp_path / "a.tar", tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    place = write(tmp_path, {"x": "1"})
    before = place.read_bytes()
    with pytest.raises(WorkspaceError, match="not to exist"), writing(place, tmp_path):
        pass
    assert place.read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_a_cut_archive_is_refused(tmp_path: Path, share: float) -> None:
    place = write(tmp_path, {f"f{i}": "text" * 500 for i in range(9)})
    content = place.read_bytes()
    place.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(VerificationError):
        verify(place)


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    place = write(tmp_path, {"a": "right", "b": "also right"})
    place.write_bytes(place.read_bytes().replace(b"also right", b"also wrong"))
    with pytest.raises(VerificationError, match="is damaged: b is not"):
        verify(place)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    place = forge(tmp_path / "a.tar", [tarfile.TarInfo(name)])
    with pytest.raises(VerificationError, match="unexpected member"):
        verify(place)


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("state")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with pytest.raises(VerificationError, match="unexpected member"):
        verify(forge(tmp_path / "a.tar", [link]))


def test_a_link_that_is_there_leads_no_file_out(tmp_path: Path) -> None:
    place = write(tmp_path, {"linked/x": "1"})
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "linked").symlink_to(elsewhere)
    with pytest.raises(VerificationError, match="a link leads 'linked/x' elsewhere"):
        extract(place, out, lambda name: out / name)
    assert list(elsewhere.iterdir()) == []


def test_files_are_listed_in_order_without_links_and_what_is_skipped(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", "cache/x", "b/lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("a")
    listed = files_below(tmp_path, lambda p: p.parts[0] == "cache" or p.name == "lock")
    assert [name for name, _ in listed] == ["a", "b/1", "b/2"]
