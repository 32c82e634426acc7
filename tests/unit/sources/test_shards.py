"""Shards in tar and zip: samples, labels, and every way in which an archive can be wrong."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.errors import ParamsError, SourceError
from tasks.sources.archives import members
from tasks.sources.shards import ShardSource
from tests.datasets import png

Files = list[tuple[str, bytes]]
SAMPLES: Files = [
    ("train/1.png", png(1)),
    ("train/1.cls", b"7\n"),
    ("train/2.JPG.bak", b"x"),
    ("train/2.cls", b"0"),
    ("train/2.png", png(2)),
]


def tar(files: Files, form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def special(kind: bytes, target: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("1.png")
        info.type, info.linkname = kind, target
        archive.addfile(info)
    return stream.getvalue()


def zipped(files: Files, mode: int = 0) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return stream.getvalue()


def source(project: Path, kind: Any = "image", target: str | None = "label", **settings):
    given = {"path": "*.*"} | settings
    return ShardSource(given, kind=kind, target=target, project=project)


def rows(opened: ShardSource) -> list[dict]:
    name = opened.schema().main.name
    return [row for batch in opened.read(name) for row in batch.to_pylist()]


PACKERS: dict[str, Callable[[Files], bytes]] = {
    "a.tar": tar,
    "gnu.tar": lambda files: tar(files, tarfile.GNU_FORMAT),
    "a.tar.gz": lambda files: gzip.compress(tar(files)),
    "a.tar.bz2": lambda files: bz2.compress(tar(files)),
    "a.tar.xz": lambda files: lzma.compress(tar(files)),
    "a.zip": zipped,
}


@pytest.mark.parametrize("name", PACKERS)
def test_samples_are_files_of_one_name(tmp_path, name):
    (tmp_path / name).write_bytes(PACKERS[name](SAMPLES))
    opened = source(tmp_path)
    assert [(r["image"]["path"], r["label"]) for r in rows(opened)] == [
        ("train/1.png", 7),
        ("train/2.png", 0),
    ]
    assert rows(opened)[0]["image"]["bytes"] == png(1)
    assert opened.counts() == {"other_members": 1, "unreadable_images": 0}
    label = opened.schema().main.column("label")
    assert (label.type, label.meaning, label.nullable) == ("int64", "categorical", False)


def test_zstd(tmp_path):
    with pa.CompressedOutputStream(str(tmp_path / "a.tar.zst"), "zstd") as packed:
        packed.write(tar(SAMPLES))
    assert len(rows(source(tmp_path))) == 2
    content = (tmp_path / "a.tar.zst").read_bytes()
    (tmp_path / "a.tar.zst").write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="cut off"):
        rows(source(tmp_path))


def test_labels_are_texts_where_one_is_no_whole_number(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar([*SAMPLES, ("3.cls", b"007"), ("3.png", png())]))
    assert [r["label"] for r in rows(source(tmp_path))] == ["7", "0", "007"]


def test_texts_and_captions(tmp_path):
    files = [("1.txt", "grün".encode()), ("1.cls", b"pos"), ("2.txt", b""), ("2.md", b"{}")]
    (tmp_path / "a.tar").write_bytes(tar(files))
    opened = source(tmp_path, "text")
    assert rows(opened) == [{"text": "grün", "label": "pos"}, {"text": "", "label": None}]
    assert [c.meaning for c in opened.schema().main.columns] == ["text", "categorical"]
    (tmp_path / "a.tar").write_bytes(tar([("1.png", png()), ("1.txt", b"a cat")]))
    (row,) = rows(source(tmp_path, target=None))
    assert row["text"] == "a cat"
    (tmp_path / "a.tar").write_bytes(tar([("1.json", b'{"text": "a dog", "n": 1}')]))
    assert rows(source(tmp_path, "text", None)) == [{"text": "a dog", "n": 1}]
    (tmp_path / "a.tar").write_bytes(tar([("1.cls", b"1")]))
    with pytest.raises(SourceError, match=r"expected a \.txt or \.json in the sample '1'"):
        rows(source(tmp_path, "text"))
    with pytest.raises(ParamsError, match="images and texts, found kind: tabular"):
        source(tmp_path, "tabular")


def test_shards_follow_their_numbers_and_are_read_alone(tmp_path):
    for i in (10, 9, 8):
        (tmp_path / f"s-{i:03d}.tar").write_bytes(tar([(f"{i}.png", png(i))]))
    opened = source(tmp_path, target=None, path="s-{008..010}.tar")
    assert [r["image"]["path"] for r in rows(opened)] == ["8.png", "9.png", "10.png"]
    table = opened.schema().main
    parts = opened.parts(table)
    elsewhere = source(tmp_path, target=None, path="s-{008..010}.tar")
    for _ in range(2):
        (batch,) = elsewhere.read_part(table, parts[2])
        assert batch.num_rows == 1
    assert elsewhere.counts()["other_members"] == 0
    with pytest.raises(SourceError, match=r"expected a file at .*s-011\.tar"):
        source(tmp_path, path="s-{008..011}.tar").schema()
    with pytest.raises(ParamsError, match="expected 1 to 100000 shards"):
        source(tmp_path, path="s-{0..9999999}.tar").schema()


WHOLE = tar(SAMPLES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no tar archive, .* at byte 0: empty file"),
        (b"<html>" * 200, "is no tar archive"),
        (WHOLE[:300], "is no tar archive, or damaged or cut off at byte 0"),
        (WHOLE[:600], r"'train/1\.png' at byte 0 is cut off: expected \d+ bytes, found|cut off at"),
        (WHOLE[:1024], "damaged or cut off at byte 1024: expected a header or the end mark"),
        (WHOLE[:1500], "damaged or cut off at byte 1024"),
        (WHOLE[:1024] + b"x" * 512 + WHOLE[1536:], "damaged or cut off at byte 1024"),
        (gzip.compress(WHOLE)[:-20], "cut off"),
        (gzip.compress(WHOLE[:1024]), "cut off at byte 1024"),
        (tar([("../1.png", png())]), r"member '\.\./1\.png' at byte 0 has a path that leads out"),
        (tar([("/etc/1.png", png())]), "has a path that leads out"),
        (tar([("a\\..\\..\\1.png", png())]), "has a path that leads out"),
        (special(tarfile.SYMTYPE, "/etc/passwd"), "expected a file, found a link to '/etc/passwd'"),
        (special(tarfile.LNKTYPE, "1.txt"), "expected a file, found a link to '1.txt'"),
        (special(tarfile.CHRTYPE), "expected a file, found a device"),
        (special(tarfile.FIFOTYPE), "expected a file, found a device or a pipe"),
        (tar([("1.png", png()), ("1.PNG", png())]), "sample '1' has two files 'png'"),
        (tar([("1.png", png()), ("1.jpg", png())]), "expected one image in the sample '1'"),
        (tar([("1.png", png()), ("2.png", png()), ("1.cls", b"1")]), "sample '1' was there before"),
        (tar([("1.cls", b"1")]), r"expected one image .*, found none among \['cls'\]"),
        (tar([("notes.md", b"1")]), "expected samples with a file bmp, .*, found none"),
        (
            tar([("1.png", png()), ("1.cls", b"a\xff")]),
            r"'1\.cls' at byte 1024: .* byte 0xFF at its",
        ),
        (tar([("1.png", b"x")]), r"member '1\.png' at byte 0 is not an image"),
        (zipped(SAMPLES)[:-30], "damaged or cut off"),
        (zipped([("../1.png", png())]), "has a path that leads out"),
        (zipped([("1.png", b"/etc")], stat.S_IFLNK | 0o777), "found a link or a device"),
    ],
)
def test_a_broken_archive_is_refused_with_its_place(tmp_path, content, message):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        rows(source(tmp_path, target=None))


def test_a_damaged_member_of_a_zip_is_named(tmp_path):
    content = bytearray(zipped(SAMPLES))
    content[60] ^= 255
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(SourceError, match=r"member 'train/1\.png' at byte 0 is damaged"):
        rows(source(tmp_path))


def test_an_encrypted_zip_is_refused(tmp_path):
    content = bytearray(zipped([("1.png", png())]))
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(SourceError, match="is encrypted; pack it without a password"):
        rows(source(tmp_path))


def test_bombs_are_refused(tmp_path, monkeypatch):
    huge = bytes(3 * 2**20)
    for name, content in {
        "a.zip": zipped([("1.png", huge)]),
        "b.tar.gz": gzip.compress(tar([("1.png", huge)])),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match="bomb"):
            rows(source(tmp_path, path=name, inflated_gib=0.001))
    monkeypatch.setattr(members, "MAX_MEMBER_BYTES", 2**20)
    for name in ("a.zip", "b.tar.gz"):
        with pytest.raises(SourceError, match="says to have 3145728 bytes, more than 1048576"):
            rows(source(tmp_path, path=name))
    monkeypatch.setattr(members, "MAX_MEMBERS", 4)
    (tmp_path / "c.tar").write_bytes(tar(SAMPLES))
    with pytest.raises(SourceError, match="more than 4 members"):
        rows(source(tmp_path, path="c.tar"))


def test_a_header_that_asks_for_too_much_is_refused(tmp_path):
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(SourceError, match=r"header at byte 512 asks for 8589934592 bytes"):
        rows(source(tmp_path))


def test_unreadable_images_can_be_left_out(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar([*SAMPLES, ("3.png", png()[:-20]), ("3.cls", b"1")]))
    with pytest.raises(SourceError, match=r"member '3\.png' at byte \d+ is damaged"):
        rows(source(tmp_path))
    opened = source(tmp_path, skip_unreadable=True)
    assert len(rows(opened)) == 2
    assert opened.counts()["unreadable_images"] == 1


@pytest.mark.parametrize("pack", [tar, zipped])
def test_values_of_json_are_columns_with_the_types_of_all(tmp_path, pack):
    (tmp_path / "1.tar").write_bytes(
        pack([("1.png", png()), ("1.json", b'{"who": {"age": 3}, "kind": "cat"}')])
    )
    (tmp_path / "2.tar").write_bytes(
        pack(
            [
                ("2.png", png()),
                ("2.json", b'{"kind": "dog", "who": {"age": 3.5}, "tags": ["a", 1.10]}'),
                ("3.png", png()),
            ]
        )
    )
    opened = source(tmp_path, target="kind")
    found = rows(opened)
    assert [(r["kind"], r["who.age"], r["tags"]) for r in found] == [
        ("cat", 3.0, None),
        ("dog", 3.5, '["a", 1.10]'),
        (None, None, None),
    ]
    assert [r["image"]["path"] for r in found] == ["1.png", "2.png", "3.png"]
    assert opened.observes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"member '1\.json' at byte 1024: expected an object of JSON, found '{'"),
        (b"[1]", "expected an object of JSON, found '.1.'"),
        (b'{"width": 1}', r"values named \['width'\], which the samples have already"),
    ],
)
def test_json_that_is_no_object_is_refused_with_its_place(tmp_path, content, message):
    (tmp_path / "a.tar").write_bytes(tar([("1.png", png()), ("1.json", content)]))
    with pytest.raises(SourceError, match=message):
        rows(source(tmp_path, target=None))
