"""One process that `benchmarks/loading.py` measures: a peer turns a table or a file into Parquet.

    python load_table.py SYSTEM database URL TABLE OUT.parquet
    python load_table.py SYSTEM csv FILE - OUT.parquet

Each peer does what its documentation shows for this, at its defaults but for zstd, which all write.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit


def pandas_database(url: str, table: str, out: Path) -> None:
    """All rows at once, as `read_sql` gives them."""
    import pandas as pd
    import sqlalchemy as sa

    rows = pd.read_sql(f"SELECT * FROM {table}", sa.create_engine(url))  # noqa: S608
    rows.to_parquet(out, compression="zstd")


def pandas_csv(path: str, _: str, out: Path) -> None:
    """All rows at once, as `read_csv` guesses their types."""
    import pandas as pd

    pd.read_csv(path).to_parquet(out, compression="zstd")


def connectorx_database(url: str, table: str, out: Path) -> None:
    """Four ranges of the key at once, as Arrow, with the quickest protocol it has."""
    import connectorx
    import pyarrow.parquet as pq

    # It has no sockets of Unix but in the place of the host.
    socket = re.fullmatch(r"(\w+)\+\w+://(\w+)@/(\w+)\?host=([^&]+)&port=(\d+)", url)
    plain = url.replace("+pymysql", "")
    if socket:
        kind, user, database, folder, port = socket.groups()
        plain = f"{kind}://{user}@{quote(folder, safe='')}:{port}/{database}"
    rows = connectorx.read_sql(
        plain,
        f"SELECT * FROM {table}",  # noqa: S608
        return_type="arrow",
        partition_on="id",
        partition_num=4,
    )
    pq.write_table(rows, out, compression="zstd")


def duckdb_database(url: str, table: str, out: Path) -> None:
    """Through the extension for the database, which DuckDB fetches when it is first used."""
    import duckdb

    kind = "postgres" if url.startswith("postgres") else "mysql"
    duckdb.sql(f"INSTALL {kind}; LOAD {kind}; ATTACH '{url}' AS source (TYPE {kind}, READ_ONLY)")
    duckdb.sql(f"COPY (SELECT * FROM source.{table}) TO '{out}' (FORMAT parquet, CODEC 'zstd')")  # noqa: S608


def duckdb_csv(path: str, _: str, out: Path) -> None:
    """Types by DuckDB's sniffer."""
    import duckdb

    duckdb.sql(f"COPY (FROM read_csv('{path}')) TO '{out}' (FORMAT parquet, CODEC 'zstd')")


def copy_database(url: str, table: str, _: Path) -> None:
    """The rows as text to nowhere: the limit of any client that takes text."""
    if url.startswith("mysql"):
        _select_to_nowhere(url, table)
        return
    import psycopg2

    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    with Path(os.devnull).open("wb") as nowhere:
        connection.cursor().copy_expert(f"COPY {table} TO STDOUT", nowhere)


def _select_to_nowhere(url: str, table: str) -> None:
    """By the client that comes with MariaDB, which has no COPY."""
    found = urlsplit(url)
    command = ["mariadb", "--no-defaults", "--quick", "--batch", f"--user={found.username}"]
    command += [f"--host={found.hostname}", f"--port={found.port}", found.path[1:]]
    subprocess.run(
        [*command, f"--execute=SELECT * FROM {table}"],  # noqa: S608
        stdout=subprocess.DEVNULL,
        env={**os.environ, "MYSQL_PWD": str(found.password)},
        check=True,
    )


SYSTEMS: dict[str, dict[str, Callable[[str, str, Path], None]]] = {
    "pandas": {"database": pandas_database, "csv": pandas_csv},
    "connectorx": {"database": connectorx_database},
    "duckdb": {"database": duckdb_database, "csv": duckdb_csv},
    "copy": {"database": copy_database},
}

if __name__ == "__main__":
    system, kind, origin, table, out = sys.argv[1:]
    SYSTEMS[system][kind](origin, table, Path(out))
