"""The wheel's PostgreSQL as the official image runs it: on a port, with a password."""

import os
import subprocess
import tempfile
from pathlib import Path

from tasks.commands import postgres


def command(data: Path, password: str, port: int) -> list[str]:
    """What starts a server in its folder of data; the data is made first if need be.

    Args:
        data: the folder; the command must be started in it, as `postgres._as_server_user` says.
        password: of the superuser.
        port: on the loopback interface.
    """
    binaries, place = postgres._binaries(), postgres._data_argument(data)
    user = postgres._as_server_user()
    if user:
        os.chown(data, user["user"], user["group"])
    if not (data / "PG_VERSION").exists():
        # Not below the test's folder, which the server's user cannot pass.
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(password)
            file.flush()
            if user:
                os.chown(file.name, user["user"], user["group"])
            done = subprocess.run(
                [
                    *(binaries / "initdb", "-D", place, "-U", postgres.SUPERUSER),
                    *("--auth=scram-sha-256", f"--pwfile={file.name}"),
                ],
                cwd=data,
                capture_output=True,
                text=True,
                check=False,
                **user,
            )
        assert done.returncode == 0, done.stdout + done.stderr
    options = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories="]
    flags = [part for option in options for part in ("-c", option)]
    return [str(binaries / "postgres"), "-D", place, *flags]
