"""Fill the demo's database and folder of images, and tell the project how to reach the database."""

import os
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

from tasks.commands import demo_source
from tasks.workspace import state_of


def main() -> None:
    """Do what `proofmint demo-source start` does, with a server that is there already."""
    superuser, password = os.environ["SUPERUSER_URL"], os.environ["READER_PASSWORD"]
    connection = psycopg2.connect(superuser)
    with connection, connection.cursor() as cursor:
        demo_source.fill_database(cursor)
        reader = sql.Identifier(demo_source.READER)
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD %s").format(reader), (password,))
    connection.close()
    project, at = Path.cwd(), parse_dsn(superuser)
    demo_source.write_digits(demo_source.digits_folder(project))
    login = f"{demo_source.READER}:{password}"
    url = f"postgresql+psycopg2://{login}@{at['host']}:{at['port']}/{at['dbname']}"
    demo_source.set_variable(state_of(project), demo_source.CONNECTION, url)
    print(f"the demo's table {demo_source.TABLE} and its digits are ready")


if __name__ == "__main__":
    main()
