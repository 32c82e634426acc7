"""Give Airflow and MLflow a database each, owned by a role of its own with a password of its own."""

import os

import psycopg2
from psycopg2 import sql

ROLES = ("airflow", "mlflow", "mlflow_auth")


def main() -> None:
    """Make what is missing; passwords are set anew, so that they are those of this start."""
    connection = psycopg2.connect(os.environ["SUPERUSER_URL"])
    connection.autocommit = True  # CREATE DATABASE refuses to run inside a transaction
    with connection.cursor() as cursor:
        for name in ROLES:
            role, password = sql.Identifier(name), os.environ[f"PASSWORD_{name.upper()}"]
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
            verb = "CREATE" if cursor.fetchone() is None else "ALTER"
            cursor.execute(
                sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(sql.SQL(verb), role), (password,)
            )
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            # By default every role may connect to every database.
            cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role))
    connection.close()
    print(f"databases are ready: {', '.join(ROLES)}")


if __name__ == "__main__":
    main()
