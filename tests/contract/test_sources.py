"""What every source must keep, whatever it reads."""

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import ParamsError, SourceError
from tasks.registry import load, names
from tasks.schema import arrow_schema
from tasks.sources.base import Part, Source
from tests import kafka
from tests.conftest import DemoSource
from tests.datasets import png
from tests.kafka import Broker

NAMES = names("tasks.sources")


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A Kafka with the topic `clicks`."""
    with kafka.running() as broker:
        for partition in (0, 1):
            broker.send("clicks", ['{"n": 1, "page": "a"}', '{"n": 2}'], partition=partition)
        yield broker


@pytest.fixture
def settings(
    demo_sources: DemoSource, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict]:
    """Settings, kind and target with which each source reads something real."""
    monkeypatch.setenv("DEMO", demo_sources.url)
    monkeypatch.setenv("BROKER", broker.url)
    (tmp_path / "people.csv").write_text("age,sex\n31,f\n,m\n52,f\n44,m\n")
    for label in ("ham", "spam"):
        (tmp_path / "texts" / label).mkdir(parents=True)
        (tmp_path / "texts" / label / "1.txt").write_text(f"this is {label}")
    with zipfile.ZipFile(tmp_path / "shard.zip", "w") as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", png(i))
            archive.writestr(f"{i}.cls", str(i))
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "pixels.idx").write_bytes(
        bytes([0, 0, 8, 3]) + struct.pack(">3I", *pixels.shape) + pixels.tobytes()
    )
    (tmp_path / "labels.idx").write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + b"\1\2")
    np.savez(tmp_path / "pixels.npz", x=pixels, y=np.array([1, 2]))
    return {
        "sql": {
            "kind": "tabular",
            "target": "diagnosis",
            "settings": {"connection": "DEMO", "table": "breast_cancer"},
        },
        "files": {"kind": "tabular", "target": "sex", "settings": {"path": "people.csv"}},
        "images": {
            "kind": "image",
            "target": "label",
            "settings": {"path": str(demo_sources.digits)},
        },
        "idx": {
            "kind": "image",
            "target": "label",
            "settings": {"images": "pixels.idx", "labels": "labels.idx"},
        },
        "kafka": {
            "kind": "tabular",
            "target": "n",
            "settings": {"connection": "BROKER", "topic": "clicks"},
        },
        "shards": {"kind": "image", "target": "label", "settings": {"path": "shard.zip"}},
        "text": {"kind": "text", "target": "label", "settings": {"path": "texts"}},
        "npz": {"kind": "image", "target": "label", "settings": {"path": "pixels.npz"}},
    }


def make(name: str, known: dict[str, dict], project: Path, **changes) -> Source:
    entry = known[name] | changes
    return load("tasks.sources", name, Source)(
        entry["settings"], kind=entry["kind"], target=entry["target"], project=project
    )


def content(source: Source) -> tuple[str, dict[str, pa.Table]]:
    with source:
        schema = source.schema()
        rows = {t.name: pa.Table.from_batches(source.read(t.name)) for t in schema.tables}
        return schema.dumps(), rows


def test_all_sources_are_under_test(settings):
    assert sorted(settings) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_described(name):
    fields = load("tasks.sources", name, Source).Settings.model_fields
    assert all(field.description for field in fields.values())


@pytest.mark.parametrize("name", NAMES)
def test_unknown_settings_are_refused_with_the_choices(name, settings, tmp_path):
    entry = settings[name]["settings"] | {"nonsense": 1}
    with pytest.raises(ParamsError, match="nonsense: unknown key; choose one of: meanings"):
        make(name, settings, tmp_path, settings=entry)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_data_gives_the_same_rows(name, settings, tmp_path):
    first = content(make(name, settings, tmp_path))
    second = content(make(name, settings, tmp_path))
    assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_batches_follow_the_schema(name, settings, tmp_path):
    with make(name, settings, tmp_path) as source:
        schema = source.schema()
        for table in schema.tables:
            for batch in source.read(table.name):
                batch.cast(arrow_schema(table))
                assert batch.num_rows <= 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_is_gone_is_named(name, settings, tmp_path):
    message = "expected the target 'gone' among the columns of"
    with (
        make(name, settings, tmp_path, target="gone") as source,
        pytest.raises(SourceError, match=message),
    ):
        source.schema()


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_read_alone_in_any_order_and_again(name, settings, tmp_path):
    with make(name, settings, tmp_path) as source:
        tables = source.schema().tables
        parts = {table.name: list(source.parts(table)) for table in tables}
        whole = {
            table.name: [list(source.read_part(table, part)) for part in parts[table.name]]
            for table in tables
        }
        for table in tables:
            found = []
            # What another process has: the settings, the schema and the place as JSON.
            with make(name, settings, tmp_path) as elsewhere:
                for part in reversed(parts[table.name]):
                    place = json.loads(json.dumps(dict(part.place)))
                    found.append(list(elsewhere.read_part(table, Part(place))))
            assert found[::-1] == whole[table.name]
