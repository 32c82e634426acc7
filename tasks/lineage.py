"""What a stage read and what it made, by name, version and size: for OpenLineage, without any value.

Everything comes from what the stage left behind: dvc.yaml (the graph), dvc.lock (digests, sizes),
`schema.json` (columns), reports (rows), verdicts (which expectation held). Names of columns are
told; values, examples, thresholds learned from data, passwords and queries are not.

It is read in Airflow's processes, so it imports PyYAML and the standard library only.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tasks.errors import WorkspaceError
from tasks.pipeline import Dataset, Stage, load_dataset
from tasks.workspace import git

RELEASES = "x-proofmint://releases"
"""Namespace of versions; with the name behind it, the URI of Airflow's asset."""

_GATED = {
    "validate_raw": ("raw", "raw"),
    "validate_clean": ("clean", "clean"),
    "validate_synthetic": ("synthetic", "synthetic"),
    "validate_release": ("release", "evaluation"),
}
"""By stage, its gate and the folder that it judges."""

_SCHEMES = {"postgresql": "postgres", "mariadb": "mysql"}
_PORTS = {"postgres": 5432, "mysql": 3306, "kafka": 9092}


@dataclass(frozen=True)
class Field:
    """A column, or a table of several with its columns."""

    name: str
    type: str
    personal: bool = False
    fields: tuple["Field", ...] = ()


@dataclass(frozen=True)
class Assertion:
    """One expectation of a gate and whether it held; not what was expected, nor what was found."""

    kind: str
    target: str
    passed: bool


@dataclass(frozen=True)
class Node:
    """A dataset of the lineage graph.

    Attributes:
        namespace: with `name`, how OpenLineage calls it.
        name: for ours the path in dvc.yaml.
        version: md5 of the content, as DVC has it; of a release, `v3`.
        fields: its columns.
        n_rows: of all its tables.
        n_bytes: on disk.
        n_files: on disk.
        assertions: what its gate expected of it.
    """

    namespace: str
    name: str
    version: str | None = None
    fields: tuple[Field, ...] = ()
    n_rows: int | None = None
    n_bytes: int | None = None
    n_files: int | None = None
    assertions: tuple[Assertion, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """What a task read and made.

    Attributes:
        inputs: what it read.
        outputs: what it made.
        commit: of the code that ran.
        repository: its URL, without a password; None: it has no remote.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    commit: str
    repository: str | None


def of_stage(
    root: Path,
    dataset: str,
    stage: str,
    namespace: str,
    *,
    address: str | None = None,
    refusals: Path | None = None,
    since: float = 0.0,
) -> Lineage:
    """What one stage read and made.

    Args:
        root: the worktree of the run, after the stage has ended, well or not.
        dataset: which one.
        stage: name of the stage in dvc.yaml.
        namespace: of our own datasets.
        address: what the connection of the source holds; None: it has none, or it is not known.
        refusals: folder of the verdicts of gates that refused; None: the stage did not fail.
        since: when the stage began (`time.time()`); an older refusal is not its own.

    Raises:
        PipelineError: dvc.yaml or params.yaml cannot be read.
    """
    entry = load_dataset(root, dataset)
    (found,) = (one for one in entry.stages if one.name == stage)
    locked = _locked(root)
    judged = _GATED.get(stage)
    inputs = [
        _node(
            root,
            dep,
            locked,
            namespace,
            assertions=_assertions(root, dataset, judged[0], refusals, since)
            if judged and dep == f"data/{dataset}/{judged[1]}"
            else (),
        )
        for dep in found.deps
        if _is_data(dep)
    ]
    if _reads_source(entry, found):
        inputs += source_nodes(entry.params["source"], dataset, namespace, address, project=root)
    outputs = [_node(root, out, locked, namespace) for out in found.outs] if not refusals else []
    return Lineage(tuple(inputs), tuple(outputs), *_code(root))


def of_release(root: Path, dataset: str, namespace: str, version: str | None) -> Lineage:
    """What the release task read (the published folder) and made (a version, or none)."""
    locked, published = _locked(root), f"releases/{dataset}"
    read = _node(root, published, locked, namespace)
    made: tuple[Node, ...] = ()
    if version is not None:
        fields = _fields(root / "data" / dataset / "synthetic")
        made = (Node(RELEASES, dataset, version, fields, None, read.n_bytes, read.n_files),)
    return Lineage((read,), made, *_code(root))


def kept_address(state: Path, connection: str) -> str | None:
    """What `.proofmint/env` says of a connection, where stages look at last."""
    with contextlib.suppress(OSError):
        for line in (state / "env").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            if name == connection:
                return value
    return None


def source_nodes(
    source: Mapping[str, Any], dataset: str, namespace: str, address: str | None, *, project: Path
) -> list[Node]:
    """A source as OpenLineage names databases, topics and files; never with a password or a query.

    Args:
        source: the section of params.yaml.
        dataset: stands for what has no name: the result of a query, a source of somebody's own.
        namespace: of sources of a kind that OpenLineage has no name for.
        address: what the connection holds; None: unknown.
        project: from which relative paths count.
    """
    if "topic" in source and address:
        parts = urlsplit(address.split(",")[0])
        return [Node(f"kafka://{parts.hostname}:{parts.port or 9092}", str(source["topic"]))]
    if path := source.get("path"):
        return [_file(str(path), project)]
    tables = [t for t in (source.get("table"), *(source.get("tables") or ())) if t]
    if not address or not (tables or source.get("query")):
        return [Node(namespace, f"{source.get('type')}:{dataset}")]
    scheme, host, port, database = _database(address)
    where = f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"
    default = "public." if scheme == "postgres" else ""
    names = [name if "." in name else f"{default}{name}" for name in tables]
    return [Node(where, f"{database}.{name}") for name in names or [f"query:{dataset}"]]


def _file(path: str, project: Path) -> Node:
    parts = urlsplit(path)
    if parts.scheme in ("", "file"):
        return Node("file", str((project / unquote(parts.path or path)).absolute()))
    port = f":{parts.port}" if parts.port else ""
    # A query may hold a signature that lets anybody in.
    return Node(f"{parts.scheme}://{parts.hostname or ''}{port}", parts.path.lstrip("/") or "/")


def _database(address: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and database of a URL, or of Airflow's JSON."""
    if address.lstrip().startswith("{"):
        content = json.loads(address)
        scheme, host = str(content["conn_type"]), content.get("host")
        port, database = content.get("port"), str(content.get("schema") or "")
    else:
        parts = urlsplit(address)
        query = parse_qs(parts.query)
        scheme, host = parts.scheme.partition("+")[0], parts.hostname
        port = parts.port or next(iter(query.get("port", ())), None)
        database = unquote(parts.path.lstrip("/"))
    scheme = _SCHEMES.get(scheme, scheme)
    number = int(port) if port else _PORTS.get(scheme)
    return scheme, host or "localhost", number, database


def _reads_source(entry: Dataset, stage: Stage) -> bool:
    """Whether no other stage stands before it."""
    return all(after != stage.name for _, after in entry.edges())


def _is_data(path: str) -> bool:
    return PurePosixPath(path).parts[0] in ("data", "releases")


def _node(
    root: Path,
    path: str,
    locked: Mapping[str, Mapping[str, Any]],
    namespace: str,
    assertions: tuple[Assertion, ...] = (),
) -> Node:
    known, folder = locked.get(path, {}), root / path
    return Node(
        namespace=namespace,
        name=path,
        version=known.get("md5"),
        fields=_fields(folder),
        n_rows=_rows(folder),
        n_bytes=known.get("size"),
        n_files=known.get("nfiles", 1 if known else None),
        assertions=assertions,
    )


def _locked(root: Path) -> dict[str, dict[str, Any]]:
    """What dvc.lock says of each path, as whoever made it left it."""
    found: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(OSError):
        content = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8")) or {}
        stages = (content.get("stages") or {}).values()
        for part in ("deps", "outs"):
            found |= {item["path"]: item for stage in stages for item in stage.get(part, ())}
    return found


def _fields(folder: Path) -> tuple[Field, ...]:
    """The columns of a dataset; of several tables, a field each."""
    tables = _json(folder / "schema.json").get("tables") or ()
    found = [
        Field(
            table["name"],
            "struct",
            fields=tuple(
                Field(column["name"], column["type"], bool(column.get("personal")))
                for column in table["columns"]
            ),
        )
        for table in tables
    ]
    return found[0].fields if len(found) == 1 else tuple(found)


def _rows(folder: Path) -> int | None:
    rows = _json(folder / "report.json").get("rows")
    return sum(rows.values()) if isinstance(rows, dict) else None


def _assertions(
    root: Path, dataset: str, gate: str, refusals: Path | None, since: float
) -> tuple[Assertion, ...]:
    place = (refusals / dataset if refusals else root / "data" / dataset / "gates") / f"{gate}.json"
    if refusals and place.exists() and place.stat().st_mtime < since:
        return ()
    checks: Iterable[Mapping[str, Any]] = _json(place).get("checks") or ()
    return tuple(Assertion(c["type"], c["target"], bool(c["passed"])) for c in checks)


def _json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none, or none to be read: it is encrypted."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _code(root: Path) -> tuple[str, str | None]:
    commit = git(root, "rev-parse", "HEAD")
    try:
        url = git(root, "config", "remote.origin.url")
    except WorkspaceError:
        return commit, None
    user, at, rest = url.partition("@")
    if "://" in user and at:
        url = user.partition("://")[0] + "://" + rest
    return commit, url
