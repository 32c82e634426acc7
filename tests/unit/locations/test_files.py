"""Paths, folders and globs of this machine."""

from pathlib import Path

import pytest

from tasks.errors import SourceError
from tasks.locations.resolve import at, resolve


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ("sales/b.csv", "sales/a.csv", "sales/old/c.csv", "sales/.hidden.csv", "x.parquet"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def names(locations) -> list[str]:
    return [location.relative for location in locations]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sales/a.csv", ["a.csv"]),
        ("sales/*.csv", ["a.csv", "b.csv"]),
        ("sales/**/*.csv", ["a.csv", "b.csv", "old/c.csv"]),
        ("sales", ["a.csv", "b.csv", "old/c.csv"]),
        ("*/[ab].csv", ["sales/a.csv", "sales/b.csv"]),
    ],
)
def test_files_come_in_the_order_of_their_paths_without_hidden_ones(project, given, expected):
    found = resolve(given, project)
    assert names(found) == expected
    for location in found:
        again = at(location.place, given, project)
        assert again.local() == location.local()
        assert (again.name, again.relative) == (location.name, location.relative)


def test_a_url_of_a_file_and_an_absolute_path_are_the_same(project):
    path = project / "sales" / "a.csv"
    assert resolve(path.as_uri(), Path("/elsewhere"))[0].local() == path
    assert resolve(str(path), Path("/elsewhere"))[0].local() == path
    assert resolve(str(path), Path("/elsewhere"))[0].size_bytes == len("sales/a.csv")


def test_a_name_with_a_wildcard_in_it_is_that_file(project):
    (project / "a[1].csv").write_text("x")
    assert names(resolve("a[1].csv", project)) == ["a[1].csv"]


def test_of_a_folder_only_the_named_kinds_are_taken(project):
    (project / "sales" / "README.md").write_text("x")
    (project / "sales" / "D.CSV").write_text("x")
    assert names(resolve("sales", project, suffixes=(".csv",))) == [
        "D.CSV",
        "a.csv",
        "b.csv",
        "old/c.csv",
    ]
    with pytest.raises(SourceError, match=r"expected files that end with \.tsv in the folder"):
        resolve("sales", project, suffixes=(".tsv",))


def test_a_link_that_leads_out_of_the_folder_is_refused(project, tmp_path):
    (tmp_path / "secret.csv").write_text("s")
    (project / "sales" / "c.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(SourceError, match=r"c\.csv, which leads out of .*sales"):
        resolve("sales/*.csv", project)
    with pytest.raises(SourceError, match="leads out of"):
        resolve("sales", project)
    with pytest.raises(SourceError, match="leads out of"):
        resolve("sales/*/../../../secret.csv", project)
    # Whoever names the link itself means it.
    assert resolve("sales/c.csv", project)[0].local().read_text() == "s"


def test_links_inside_a_folder_do_not_read_a_file_twice(project):
    (project / "sales" / "again").symlink_to(project / "sales")
    (project / "sales" / "latest.csv").symlink_to(project / "sales" / "b.csv")
    assert names(resolve("sales/*.csv", project)) == ["a.csv", "b.csv"]
    assert names(resolve("sales", project)) == ["a.csv", "b.csv", "old/c.csv"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sales/a.cvs", r"expected a file at .*a\.cvs, found none; there is a\.csv"),
        ("none/a.csv", r"found none; there is no folder .*none either"),
        ("sales/*.tsv", r"expected files that fit 'sales/\*\.tsv', found none"),
        ("sales/**x", "is not a path or a glob"),
        ("file://server/a.csv", "expected file:///path, found the host 'server'"),
        ("nonsense://a/b", "expected a path, .*found nonsense://"),
        ("gs://bucket/a.csv", "gs:// needs a library that is missing: .*gcsfs"),
    ],
)
def test_what_is_not_there_is_said(project, given, message):
    with pytest.raises(SourceError, match=message):
        resolve(given, project)
