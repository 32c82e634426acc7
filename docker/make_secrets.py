"""Make every password and key at the first start, and give each service the ones that it needs.

Run as a step of its own, before all others, without a network:

    keys/            what was made, one file each; no other step can read it
    databases/ airflow/ worker/ mlflow/ demo/   environment variables of a service (see with-secrets)
    postgres/ redis/ logins/                    files

The keys stay; the rest is written anew at each start, so that a changed address or a changed S3
credential reaches its service.
"""

import base64
import hashlib
import os
import secrets
from pathlib import Path

FOLDER = Path(os.environ["PROOFMINT_SECRETS_ROOT"])
POSTGRES = os.environ["PROOFMINT_POSTGRES"]  # host:port
REDIS = os.environ["PROOFMINT_REDIS"]
DEMO = os.environ["PROOFMINT_DEMO_DATABASE"]
S3_CREDENTIALS = os.environ.get("PROOFMINT_S3_CREDENTIALS_FILE")
GROUP = os.environ.get("PROOFMINT_SECRETS_GROUP")
"""Id of the group that may read; services are its members. Unset: only the owner reads."""

ADMIN = "admin"


def key(name: str, n_bytes: int = 24) -> str:
    """A secret that is made once; letters that need no escape in a URL, an INI or a shell."""
    place = FOLDER / "keys" / name
    if not place.exists():
        _write(place, base64.urlsafe_b64encode(secrets.token_bytes(n_bytes)).decode("ascii"), 0o600)
    return place.read_text(encoding="ascii")


def give(service: str, files: dict[str, str | None]) -> None:
    """Let the folder of a service hold exactly these files; None: there is no such file."""
    folder = FOLDER / service
    folder.mkdir(exist_ok=True)
    wanted = {name: content for name, content in files.items() if content is not None}
    for stale in folder.iterdir():
        if stale.name not in wanted:
            stale.unlink()
    for name, content in wanted.items():
        _write(folder / name, content, 0o440 if GROUP else 0o400)
    _open_to_group(folder, 0o750 if GROUP else 0o700)


def _write(place: Path, content: str, mode: int) -> None:
    """Write a file whole or not at all, never for a moment readable to others."""
    draft = place.with_name(f".{place.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(content)
        os.fsync(stream.fileno())
    if mode != 0o600:
        _open_to_group(draft, mode)
    os.replace(draft, place)


def _open_to_group(place: Path, mode: int) -> None:
    if GROUP:
        os.chown(place, -1, int(GROUP))
    place.chmod(mode)


def postgres_url(role: str, database: str) -> str:
    """Where SQLAlchemy finds a database."""
    return f"postgresql+psycopg2://{role}:{key(f'postgres-{role}')}@{POSTGRES}/{database}"


def mlflow_settings() -> str:
    """MLflow's authentication: nobody sees what nobody gave them."""
    return (
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = {postgres_url('mlflow_auth', 'mlflow_auth')}\n"
        f"admin_username = {ADMIN}\n"
        f"admin_password = {key('mlflow-admin')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        # Checking a password is slow by design; a training asks several times a second.
        "auth_cache_ttl_seconds = 60\n"
    )


def main() -> None:
    """Make what is missing and hand it out."""
    (FOLDER / "keys").mkdir(mode=0o700, exist_ok=True)
    s3 = Path(S3_CREDENTIALS).read_text(encoding="utf-8") if S3_CREDENTIALS else ""
    redis = f"redis://:{key('redis')}@{REDIS}"
    celery = {
        "AIRFLOW__CELERY__BROKER_URL": f"{redis}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"{redis}/1",
    }
    give("postgres", {"password": key("postgres")})
    digest = hashlib.sha256(key("redis").encode()).hexdigest()
    give("redis", {"users.acl": f"user default on #{digest} ~* &* +@all\n"})
    roles = ("airflow", "mlflow", "mlflow_auth")
    give(
        "databases",
        {
            "SUPERUSER_URL": f"postgresql://postgres:{key('postgres')}@{POSTGRES}/postgres",
            **{f"PASSWORD_{role.upper()}": key(f"postgres-{role}") for role in roles},
        },
    )
    give(
        "airflow",
        {
            **celery,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres_url("airflow", "airflow"),
            "AIRFLOW__CORE__FERNET_KEY": key("fernet", 32),
            "AIRFLOW__API__SECRET_KEY": key("airflow-sessions", 32),
            "AIRFLOW__API_AUTH__JWT_SECRET": key("airflow-tokens", 64),
        },
    )
    # A worker runs other people's datasets: it knows no database of Airflow's and cannot sign tokens.
    give(
        "worker",
        {
            **celery,
            "MLFLOW_TRACKING_USERNAME": ADMIN,
            "MLFLOW_TRACKING_PASSWORD": key("mlflow-admin"),
            "aws-credentials": s3 or None,
        },
    )
    give(
        "mlflow",
        {
            "MLFLOW_BACKEND_STORE_URI": postgres_url("mlflow", "mlflow"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": key("mlflow-sessions", 32),
            "mlflow.ini": mlflow_settings(),
            "aws-credentials": s3 or None,
        },
    )
    give(
        "demo",
        {
            "password": key("demo"),
            "SUPERUSER_URL": f"postgresql://postgres:{key('demo')}@{DEMO}/demo",
            "READER_PASSWORD": key("demo-reader"),
        },
    )
    give("logins", {"airflow": key("airflow-admin"), "mlflow": key("mlflow-admin")})


if __name__ == "__main__":
    main()
