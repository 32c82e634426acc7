"""A part is of the file that was there when its parts were made, or of none."""

import json
import os

import fsspec
import pytest

from tasks.errors import SourceChanged, SourceError
from tasks.locations.resolve import resolve
from tasks.sources._located import place_of, reading
from tasks.sources.text import TextSource


def test_a_file_that_was_written_to_is_read_anew(tmp_path):
    path = tmp_path / "1.txt"
    path.write_text("one")
    source = TextSource({"path": "1.txt"}, kind="text", target=None, project=tmp_path)
    table = source.schema().main
    (part,) = source.parts(table)
    assert [batch.num_rows for batch in source.read_part(table, part)] == [1]
    path.write_text("two")
    os.utime(path, ns=(0, 0))
    with pytest.raises(SourceChanged, match=r"1\.txt was written to since reading began"):
        list(source.read_part(table, part))
    path.unlink()
    with pytest.raises(SourceError, match="it was there before"):
        list(source.read_part(table, part))


def test_a_remote_file_is_called_by_its_url(tmp_path, monkeypatch):
    monkeypatch.setenv("PROOFMINT_HOME", str(tmp_path / "home"))
    system = fsspec.filesystem("memory")
    system.pipe_file("/texts/a/1.txt", b"caf\xe9")
    (location,) = resolve("memory://texts/a/1.txt", tmp_path)
    place = json.loads(json.dumps(place_of(location)))
    with reading(place, "memory://texts/a/1.txt", tmp_path, None) as (found, path):
        assert path.read_bytes() == b"caf\xe9"
        assert found.name == "1.txt"
    source = TextSource({"path": "memory://texts/a"}, kind="text", target=None, project=tmp_path)
    with pytest.raises(SourceError, match=r"^memory:///?texts/a/1\.txt is not text in utf-8"):
        list(source.read("texts"))
    system.rm("/texts", recursive=True)
