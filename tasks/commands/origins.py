"""What `SOURCE` on the command line means: a database, files, a folder of images, a topic.

The result is what stands under `source:` in params.yaml, so what was tried is what will run.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from sqlalchemy.exc import ArgumentError

from tasks.commands.text_form import TextForm, recognised
from tasks.errors import ParamsError, SourceError
from tasks.locations.credentials import holds_secret
from tasks.locations.files import near
from tasks.locations.remote import masked
from tasks.schema import Kind
from tasks.sources._image_folders import METADATA_FILES
from tasks.sources.arrays.files import ArrayFile

_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
_SHARDS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip")
_ARRAYS = (".npz", ".npy")
_DELIMITED = (".csv", ".tsv", ".tab", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_SQLITE = (".sqlite", ".sqlite3", ".db")
_FILE_SCHEMES = (
    *("file", "http", "https", "ftp", "sftp", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"),
    *("hdfs", "memory"),
)
_MAGIC_OF_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class Origin:
    """Where the data of a new dataset comes from.

    Attributes:
        kind: of the dataset.
        source: `type` and settings, as they stand in params.yaml.
        connection: the variable that is to hold the URL, and the URL; None: it is set already, or
            none is needed.
        target: of the dataset, unless another one is named.
    """

    kind: Kind
    source: dict[str, Any]
    connection: tuple[str, str] | None = None
    target: str | None = None

    @property
    def has_secret(self) -> bool:
        """Whether a URL holds a password or a key, or seems to, so that it must not be stored."""
        if self.connection is None:
            texts = (text for text in self.source.values() if isinstance(text, str))
            return any(holds_secret(text) for text in texts if "://" in text)
        url = self.connection[1]
        # SQLAlchemy takes passwords with any sign in them.
        user, _, _ = url.partition("://")[2].rpartition("@")
        return ":" in user or holds_secret(url) or url.lstrip().startswith("{")


def origin_of(
    given: str,
    name: str,
    project: Path,
    *,
    tables: Sequence[str] = (),
    query: str | None = None,
    settings: Sequence[str] = (),
) -> Origin:
    """Find out what a source is.

    Args:
        given: a database's URL, the name of a variable or Airflow connection with one, a path, a
            glob, or a URL of files.
        name: of the dataset; a URL is to be found under `<NAME>_URL`.
        project: folder from which relative paths count.
        tables: of a database, or the topic of a broker.
        query: of a database.
        settings: `KEY=VALUE` of the source beside these, in YAML; `type`, `kind` and `target` too.

    Raises:
        ParamsError: it is none of these, or options do not fit it.
        SourceError: there is no such file.
    """
    found = _found(given, name, project, list(tables), query)
    source = dict(found.source)
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator or not key.isidentifier():
            raise ParamsError(f"expected --set KEY=VALUE like delimiter=';', found {setting!r}")
        try:
            source[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ParamsError(f"--set {key}: {value!r} is not YAML: {error}") from error
    kind = source.pop("kind", found.kind)
    if kind == "tabular" and found.kind == "text" and "column" in found.source:
        # A table after all: its columns are found out like those of any other.
        source = {
            "type": "files",
            **{k: v for k, v in source.items() if k not in ("type", "column")},
        }
        source |= source.pop("files", {})
    target = source.pop("target", found.target or _label_of(kind, source, project))
    return Origin(kind, source, found.connection, target)


def _label_of(kind: Kind, source: dict[str, Any], project: Path) -> str | None:
    """The column of the labels of images; None where the places of the files tell of none."""
    if kind != "image" or (source["type"] == "idx" and not source.get("labels")):
        return None
    folder = project / source["path"] if source["type"] == "images" else None
    if folder is None or not folder.is_dir():
        return "label"
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    is_alone = all(path.is_file() for path in shown)
    return None if is_alone or any(path.name in METADATA_FILES for path in shown) else "label"


def _found(given: str, name: str, project: Path, tables: list[str], query: str | None) -> Origin:
    scheme, separator, _ = given.partition("://")
    variable = next((v for v in (given, f"AIRFLOW_CONN_{given.upper()}") if v in os.environ), None)
    if variable is not None and given.isidentifier():
        return _connected(given, None, os.environ[variable], tables, query)
    if separator and scheme.lower().partition("+")[0] not in _FILE_SCHEMES:
        connection = (f"{name.upper()}_URL", given)
        return _connected(connection[0], connection, given, tables, query)
    path = project / given
    if not separator and path.is_file() and _is_sqlite(path):
        connection = (f"{name.upper()}_URL", f"sqlite:///{path.resolve()}")
        return _connected(connection[0], connection, connection[1], tables, query)
    if tables or query is not None:
        raise ParamsError(
            f"--table and --query are for databases and brokers, {masked(given)!r} is neither: expected a"
            " URL like postgresql://user@host/database, or the name of a variable that holds one"
        )
    if not separator and path.is_dir():
        return _of_folder(given, path)
    if not separator and not any(sign in given for sign in "*?[{") and not path.exists():
        hint = f"; no variable {given} is set either" if given.isidentifier() else ""
        raise SourceError(
            f"expected a file, a folder or a URL at {path}, found none{near(path)}{hint}"
        )
    return _of_files(given, project)


def _connected(
    name: str,
    connection: tuple[str, str] | None,
    url: str,
    tables: list[str],
    query: str | None,
) -> Origin:
    if url.startswith("kafka://"):
        if len(tables) != 1 or query is not None:
            raise ParamsError("expected the topic to be named by one --table, and no --query")
        source: dict[str, Any] = {"type": "kafka", "connection": name, "topic": tables[0]}
        return Origin("tabular", source, connection)
    if not url.lstrip().startswith("{"):
        try:
            sa.make_url(url)
        except (ArgumentError, ValueError):
            # The cause is cut off because it may hold a password.
            raise ParamsError(
                "expected a URL like postgresql://user@host:5432/database; found something else"
            ) from None
    source = {"type": "sql", "connection": name}
    if query is not None and tables:
        raise ParamsError("expected --table or --query, found both")
    if query is not None:
        source["query"] = query
    elif len(tables) == 1:
        source["table"] = tables[0]
    elif tables:
        source["tables"] = tables
    else:
        raise ParamsError(
            "a database needs --table NAME (more than once for several tables, the one with the target"
            " first), or --query 'SELECT …'"
        )
    return Origin("tabular", source, connection)


def _of_folder(given: str, path: Path) -> Origin:
    suffixes = {p.suffix.lower() for p in path.rglob("*") if p.is_file()}
    if suffixes & set(_IMAGES):
        return Origin("image", {"type": "images", "path": given})
    if suffixes == {".txt"}:
        return Origin("text", {"type": "text", "path": given})
    found = ", ".join(sorted(suffixes)) or "nothing"
    raise ParamsError(
        f"expected a folder of images or of .txt files at {path}, found {found}; name files of a table"
        f" by a pattern: '{given.rstrip('/')}/*.csv'"
    )


def _of_files(given: str, project: Path) -> Origin:
    path = project / given
    lowered = given.lower()
    is_table = any(suffix in lowered for suffix in (".csv", ".tsv", ".json", ".xml", ".txt"))
    if lowered.endswith(_ARRAYS):
        return Origin(_kind_of_arrays(path), {"type": "npz", "path": given})
    if match := re.search(r"-idx[34]-ubyte(\.gz)?$", given):
        labels = given.replace("images", "labels").replace(match.group(0)[:5], "-idx1")
        source = {"type": "idx", "images": given}
        is_there = labels != given and (project / labels).is_file()
        return Origin("image", source | ({"labels": labels} if is_there else {}))
    if lowered.endswith(_SHARDS) and not is_table:
        return Origin("image", {"type": "shards", "path": given})
    form = _form_of_texts(path) if path.is_file() else None
    return _of_texts(given, form) if form else Origin("tabular", {"type": "files", "path": given})


def _form_of_texts(path: Path) -> TextForm | None:
    """How labelled texts are written in a file; None: it holds something else."""
    if not path.name.lower().endswith(_DELIMITED) and path.suffix:
        return None
    try:
        return recognised(path, "utf-8")
    except SourceError:
        return None  # said when it is read, by settings that are given


def _of_texts(given: str, form: TextForm) -> Origin:
    told = form.told
    files: dict[str, Any] = {"delimiter": told.delimiter}
    if not told.quote:
        files["quote"] = ""
    if told.column_names is not None:
        files["column_names"] = list(told.column_names)
    source = {"type": "text", "path": given, "column": form.text, "files": files}
    return Origin("text", source, target=form.label)


def _kind_of_arrays(path: Path) -> Kind:
    """Images, if an array is more than a table."""
    if not path.is_file():
        return "tabular"
    headers = ArrayFile(path, str(path), None).headers.values()
    return "image" if any(len(header.shape) > 2 for header in headers) else "tabular"


def _is_sqlite(path: Path) -> bool:
    if path.suffix.lower() in _SQLITE:
        return True
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC_OF_SQLITE)) == _MAGIC_OF_SQLITE
