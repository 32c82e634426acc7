"""`datapackage.json`: the release as a Frictionless Data Package, with types, keys and digests.

Source:
    Data Package 1.0 and Table Schema 1.0, https://specs.frictionlessdata.io

Differs: a table of several files is several resources, because a reader cannot join Parquet files
end to end; then its keys, which hold for all the files together, are left out.
"""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from tasks.publishing.evidence import Evidence
from tasks.publishing.licences import licence_url
from tasks.publishing.tables import ReleasedTable, Shard
from tasks.schema import Column, arrow_type

DATAPACKAGE_FILE = "datapackage.json"

_FIELD_TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "datetime"),
    (pa.types.is_time, "time"),
    (pa.types.is_string, "string"),
    (pa.types.is_large_string, "string"),
)


def datapackage(evidence: Evidence) -> dict[str, Any]:
    """The description of a release."""
    publish = evidence.params.publish
    licence = {"name": publish.license, "path": licence_url(publish.license)}
    return {
        "profile": "data-package",
        "name": evidence.dataset.replace("_", "-"),
        "title": publish.title,
        "description": f"Synthetic data. Made after: {publish.description}",
        "licenses": [{key: value for key, value in licence.items() if value}],
        "keywords": ["synthetic", evidence.params.kind],
        "resources": [
            _resource(table, number, evidence)
            for table in evidence.tables
            for number in range(len(table.shards))
        ],
    }


def _resource(table: ReleasedTable, number: int, evidence: Evidence) -> dict[str, Any]:
    shard: Shard = table.shards[number]
    return {
        "name": _resource_name(table, number),
        "title": table.schema.name,
        "path": shard.path,
        "format": "parquet",
        "mediatype": "application/parquet",
        "hash": f"sha256:{shard.sha256}",
        "type": "table",
        "schema": {
            "fields": [_field(column, table) for column in table.schema.columns],
            # By default an empty text is a missing value; in Parquet it is a text.
            "missingValues": [],
            **(_keys(table, evidence) if len(table.shards) == 1 else {}),
        },
    }


def _field(column: Column, table: ReleasedTable) -> dict[str, Any]:
    field: dict[str, Any] = {"name": column.name, "type": _field_type(column)}
    if field["type"] == "integer" and table.n_missing[column.name]:
        # frictionless reads Parquet through pandas, where such a column holds floats and NaN.
        field["type"] = "number"
    if not column.nullable:
        field["constraints"] = {"required": True}
    return field


def _field_type(column: Column) -> str:
    if column.type == "image":
        return "object"
    kind = arrow_type(column)
    return next((name for is_of_kind, name in _FIELD_TYPES if is_of_kind(kind)), "any")


def _keys(table: ReleasedTable, evidence: Evidence) -> dict[str, Any]:
    one_file = {t.schema.name: t for t in evidence.tables if len(t.shards) == 1}
    keys: dict[str, Any] = {}
    if table.schema.primary_key:
        keys["primaryKey"] = list(table.schema.primary_key)
    foreign = [
        {
            "fields": list(key.columns),
            "reference": {
                "resource": ""
                if key.references == table.schema.name
                else _resource_name(one_file[key.references], 0),
                "fields": list(key.referenced_columns),
            },
        }
        for key in table.schema.foreign_keys
        if key.references in one_file
    ]
    return {**keys, "foreignKeys": foreign} if foreign else keys


def _resource_name(table: ReleasedTable, number: int) -> str:
    name = table.slug.lower()
    return name if len(table.shards) == 1 else f"{name}-{number:05d}"
