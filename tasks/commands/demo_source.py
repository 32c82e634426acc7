"""The demo's sources: a PostgreSQL with a table, and a folder of images, both real and offline.

`breast_cancer` (569 masses, 30 measurements, a diagnosis) goes into the database `demo`, `digits`
(1,797 handwritten digits of 8 x 8 pixels) into PNG files in a folder for each label. Both are
bundled with scikit-learn.
"""

import io
import os
from pathlib import Path
from typing import Any

from psycopg2 import sql
from psycopg2.extras import execute_values

from tasks.commands import postgres
from tasks.commands.postgres import PostgresServer
from tasks.storage import new_folder
from tasks.workspace import state_of

CONNECTION = "PROOFMINT_DEMO"
"""The environment variable that params.yaml names as the connection of `breast_cancer`."""

DATABASE = "demo"
TABLE = "breast_cancer"
READER = "reader"
"""The role for pipelines: it reads and cannot write."""


def start(project: Path) -> int:
    """Start the demo's sources and write their connection into `.proofmint/env`."""
    url = provide(project)
    print(f"demo source: table {TABLE} in PostgreSQL, digits in {digits_folder(project)}")
    print(f"{CONNECTION}={url}")
    return 0


def stop(project: Path) -> int:
    """Stop the demo's PostgreSQL; its data stays."""
    was_running = postgres.stop(place_of(project))
    print("demo source: stopped" if was_running else "demo source: was not running")
    return 0


def provide(project: Path) -> str:
    """Have the demo's sources ready; return the URL of the database."""
    url = fill(postgres.start(place_of(project)))
    write_digits(digits_folder(project))
    set_variable(state_of(project), CONNECTION, url)
    return url


def place_of(project: Path) -> Path:
    """Where the demo's PostgreSQL lives; apart from the one that Airflow and MLflow write to."""
    return state_of(project) / "postgres" / "demo"


def digits_folder(project: Path) -> Path:
    """Where params.yaml expects the images."""
    return project / ".proofmint" / "demo" / "digits"


def fill(server: PostgresServer) -> str:
    """Make the database, table and role, unless they are there; return the reader's URL."""
    server.create_database(DATABASE)
    with server.connect(DATABASE) as connection, connection.cursor() as cursor:
        fill_database(cursor)
    return server.url(DATABASE, READER)


def fill_database(cursor: Any) -> None:
    """Make the table and the role in the database of a psycopg2 cursor, unless they are there."""
    columns, rows = _breast_cancer()
    if _found(cursor, columns) != rows:
        _replace(cursor, columns, rows)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READER,))
    if cursor.fetchone() is None:
        reader = sql.Identifier(READER)
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(reader))
        cursor.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(reader))


def write_digits(folder: Path) -> None:
    """Write the digits as `<label>/<number>.png`, unless exactly these files are there."""
    images = _digits()
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    if found == images:
        return
    with new_folder(folder) as draft:
        for name, content in images.items():
            place = draft / name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)


def set_variable(state: Path, name: str, value: str) -> None:
    """Set one line `NAME=value` of `.proofmint/env`, which only the owner can read."""
    place = state / "env"
    lines = place.read_text(encoding="utf-8").splitlines() if place.exists() else []
    kept = [line for line in lines if line.partition("=")[0] != name]
    write_owner_only(place, "\n".join([*kept, f"{name}={value}"]) + "\n")


def variables(state: Path) -> list[str]:
    """The names that `.proofmint/env` sets."""
    place = state / "env"
    lines = place.read_text(encoding="utf-8").splitlines() if place.exists() else []
    return [line.partition("=")[0] for line in lines]


def write_owner_only(place: Path, content: str) -> None:
    """Write a file that nobody else can read, whole or not at all."""
    draft = place.with_name(f".{place.name}.draft")
    draft.unlink(missing_ok=True)
    with open(draft, "x", encoding="utf-8", opener=_owner_only) as stream:
        stream.write(content)
    os.replace(draft, place)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _breast_cancer() -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """The columns with their types, and the rows in order of `id`."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    measures = [str(name).replace(" ", "_") for name in bunch.feature_names]
    columns = {
        "id": "integer",
        **dict.fromkeys(measures, "double precision"),
        "diagnosis": "text",
    }
    rows = [
        (number, *map(float, values), str(bunch.target_names[target]))
        for number, (values, target) in enumerate(zip(bunch.data, bunch.target, strict=True), 1)
    ]
    return columns, rows


def _found(cursor: Any, columns: dict[str, str]) -> list[tuple[Any, ...]] | None:
    """The rows of the table in order of `id`; None where it is missing or has another form."""
    cursor.execute(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
        (TABLE,),
    )
    if cursor.fetchall() != [(name, kind, "NO") for name, kind in columns.items()]:
        return None
    cursor.execute(sql.SQL("SELECT * FROM {} ORDER BY id").format(sql.Identifier(TABLE)))
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _replace(cursor: Any, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> None:
    table = sql.Identifier(TABLE)
    forms = [
        sql.SQL("{} {} NOT NULL").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in columns.items()
    ]
    cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    cursor.execute(
        sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY (id))").format(table, sql.SQL(", ").join(forms))
    )
    execute_values(cursor, sql.SQL("INSERT INTO {} VALUES %s").format(table), rows)


def _digits() -> dict[str, bytes]:
    """PNG files by name, `3/0003.png`; pixels of 0 to 16 become 0 to 255."""
    from PIL import Image
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = (bunch.images * 255 / 16).round().astype("uint8")
    files = {}
    for number, (image, label) in enumerate(zip(pixels, bunch.target, strict=True)):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        files[f"{label}/{number:04d}.png"] = stream.getvalue()
    return files
