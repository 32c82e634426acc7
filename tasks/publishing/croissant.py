"""`croissant.json`: the release described for machines, with its lineage.

Source:
    Croissant Format Specification 1.1, https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
    Croissant RAI 1.0, http://mlcommons.org/croissant/RAI/1.0
    PROV-O, https://www.w3.org/TR/prov-o/

Differs: `datePublished` is missing, because a release is the same bytes whenever it is made; the
date stands in the attestation. `url` and `creator` are there if params.yaml says them.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from tasks.publishing.evidence import Evidence
from tasks.publishing.licences import licence_url
from tasks.publishing.tables import ReleasedTable
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_type

CROISSANT_FILE = "croissant.json"

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification recommends, with PROV-O."""


_DATA_TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_boolean, "sc:Boolean"),
    (pa.types.is_integer, "sc:Integer"),
    (pa.types.is_floating, "sc:Float"),
    (pa.types.is_decimal, "sc:Float"),
    (pa.types.is_date, "sc:Date"),
    (pa.types.is_timestamp, "sc:DateTime"),
)


def croissant(evidence: Evidence) -> dict[str, Any]:
    """The JSON-LD description of a release."""
    publish = evidence.params.publish
    optional = {
        "url": publish.url,
        "creator": publish.creator and {"@type": "sc:Organization", "name": publish.creator},
        "citation": publish.source_citation,
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": evidence.dataset,
        "alternateName": publish.title,
        "description": f"Synthetic data. Made after: {publish.description}",
        "license": licence_url(publish.license) or publish.license,
        "keywords": ["synthetic", evidence.params.kind],
        **{key: value for key, value in optional.items() if value},
        "distribution": [node for table in evidence.tables for node in _distribution(table)],
        "recordSet": [_record_set(table, evidence) for table in evidence.tables],
        **_lineage(evidence),
        **_responsible_ai(evidence),
    }


def _distribution(table: ReleasedTable) -> Iterator[dict[str, Any]]:
    for shard in table.shards:
        yield {
            "@type": "cr:FileObject",
            "@id": shard.path,
            "name": shard.path.rpartition("/")[2],
            "contentUrl": shard.path,
            "contentSize": f"{shard.size_bytes} B",
            "encodingFormat": "application/x-parquet",
            "sha256": shard.sha256,
        }
    if len(table.shards) > 1:
        yield {
            "@type": "cr:FileSet",
            "@id": table.folder,
            "name": table.schema.name,
            "description": f"All files of {table.schema.name!r}.",
            "encodingFormat": "application/x-parquet",
            "includes": f"{table.folder}/*.parquet",
        }


def _record_set(table: ReleasedTable, evidence: Evidence) -> dict[str, Any]:
    schema = table.schema
    node: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": _id(schema.name),
        "name": schema.name,
        "description": f"{table.n_rows} synthetic rows.",
    }
    if schema.primary_key:
        keys = [{"@id": _id(schema.name, name)} for name in schema.primary_key]
        node["key"] = keys[0] if len(keys) == 1 else keys
    node["field"] = [_field(column, table, evidence) for column in schema.columns]
    return node


def _field(column: Column, table: ReleasedTable, evidence: Evidence) -> dict[str, Any]:
    is_label = column.name == evidence.schema.target and table.schema == evidence.schema.main
    kind = _data_type(column)
    node: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": _id(table.schema.name, column.name),
        "name": column.name,
        "description": f"{column.meaning}, {'may' if column.nullable else 'may not'} be missing",
        "dataType": [kind, "cr:Label"] if is_label else kind,
        "source": _source(column, table),
    }
    if reference := _reference(column, table.schema, evidence.schema):
        node["references"] = {"field": {"@id": reference}}
    return node


def _source(column: Column, table: ReleasedTable) -> dict[str, Any]:
    one_file = len(table.shards) == 1
    source: dict[str, Any] = {
        "fileObject" if one_file else "fileSet": {
            "@id": table.shards[0].path if one_file else table.folder
        },
        "extract": {"column": column.name},
    }
    if column.type == "image":
        source["transform"] = {"jsonPath": "bytes"}
    return source


def _reference(column: Column, table: TableSchema, schema: DatasetSchema) -> str | None:
    """The field that a foreign key of one column points to; Croissant knows no others.

    References that lead back to their own table are left out, because mlcroissant 1.1.1 cannot
    load any record of tables that refer to each other in a circle.
    """
    for key in table.foreign_keys:
        if key.columns == (column.name,) and table.name not in _reachable(key.references, schema):
            return _id(key.references, key.referenced_columns[0])
    return None


def _reachable(name: str, schema: DatasetSchema) -> set[str]:
    """The table and all that its foreign keys lead to, directly or not."""
    found, waiting = set[str](), [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [key.references for key in schema.table(current).foreign_keys]
    return found


def _data_type(column: Column) -> str:
    if column.type == "image":
        return "sc:ImageObject"
    kind = arrow_type(column)
    return next((name for is_of_kind, name in _DATA_TYPES if is_of_kind(kind)), "sc:Text")


def _lineage(evidence: Evidence) -> dict[str, Any]:
    params = evidence.params
    real = {
        "@type": "prov:Entity",
        "@id": f"urn:sha256:{evidence.inputs.get('training_data')}",
        "prov:label": f"The real data (not published): {params.publish.description}",
    }
    model: dict[str, Any] = {
        "@type": "prov:Entity",
        "@id": f"urn:sha256:{evidence.inputs.get('model')}",
        "prov:label": f"The trained generator {params.generator!r} (not published)",
        "prov:wasDerivedFrom": {"@id": real["@id"]},
    }
    if evidence.parent:
        parent = {
            "@type": "prov:Entity",
            "@id": f"urn:sha256:{evidence.parent['sha256']}",
            "prov:label": "The trained generator from whose weights it started",
        }
        model["prov:wasDerivedFrom"] = [{"@id": real["@id"]}, parent]
    software = {
        "@type": "prov:SoftwareAgent",
        "@id": "urn:proofmint",
        "prov:label": "Proofmint, a dataset factory",
    }
    return {
        "prov:wasDerivedFrom": [real, model],
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "@id": "urn:proofmint:sample",
            "prov:label": f"Sampling {evidence.n_rows} rows from the generator, seed {params.seed}",
            "prov:used": {"@id": model["@id"]},
            "prov:wasAssociatedWith": {"@id": software["@id"]},
        },
        "prov:wasAttributedTo": software,
    }


def _responsible_ai(evidence: Evidence) -> dict[str, Any]:
    personal = [c.name for t in evidence.schema.tables for c in t.columns if c.personal]
    return {
        "rai:dataCollection": (
            "No row was collected: every row was drawn from a generative model of real data."
        ),
        "rai:dataCollectionType": ["Synthetic data"],
        "rai:dataLimitations": evidence.not_tested,
        "rai:dataUseCases": [
            f"{r.measurement.label}: {r.measurement.value:.4g}"
            + (
                f" (real data: {r.measurement.reference:.4g})"
                if r.measurement.reference is not None
                else ""
            )
            for r in evidence.of_family("utility")
            if r.measurement.value is not None
        ],
        "rai:personalSensitiveInformation": [
            f"The columns {', '.join(personal)} hold personal data in the real rows; here they are"
            " modelled, not copied."
            if personal
            else "No column of the real rows is known to hold personal data."
        ],
    }


def _id(*names: str) -> str:
    """An identifier within the document; names may hold characters that an IRI may not."""
    return "/".join(quote(name, safe="") for name in names)
