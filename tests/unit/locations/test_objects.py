"""Object storage, held against an S3 API of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from tasks import retry
from tasks.errors import SourceChanged, SourceError, SourceUnavailable
from tasks.locations import objects
from tasks.locations.resolve import at, resolve
from tasks.stages.ingest import ingest
from tasks.storage import count_rows, digest
from tests.datasets import dataset_params

CONTENT = bytes(range(256)) * 4_096
KEYS = ("sales/a.csv", "sales/b.csv", "sales/2024/c.csv", "sales/.x.csv", "sales/notes.txt")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> s3fs.S3FileSystem:
    """A client, and its credentials in the environment."""
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id-of-the-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    if not client.exists("shop"):
        client.mkdir("shop")
    for key in KEYS:
        client.pipe_file(f"shop/{key}", CONTENT + key.encode())
    return client


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("s3://shop/sales/a.csv", ["a.csv"]),
        ("s3://shop/sales/*.csv", ["a.csv", "b.csv"]),
        ("s3://shop/**/*.csv", ["sales/2024/c.csv", "sales/a.csv", "sales/b.csv"]),
        ("s3://shop/sales/", ["2024/c.csv", "a.csv", "b.csv"]),
    ],
)
def test_globs_and_folders_of_a_bucket(s3, tmp_path, given, expected):
    found = resolve(given, tmp_path, suffixes=(".csv",))
    assert [location.relative for location in found] == expected
    for location in found:
        assert location.size_bytes is not None
        with location.reading() as path:
            content = path.read_bytes()
        assert content.startswith(CONTENT)
        assert content[len(CONTENT) :].decode() == location.url.removeprefix("s3://shop/")
        assert at(location.place, given, tmp_path).local().read_bytes() == content


def test_a_file_that_changed_is_fetched_anew_and_never_mixed(s3, tmp_path):
    (old,) = resolve("s3://shop/sales/a.csv", tmp_path)
    (same,) = resolve("s3://shop/sales/a.csv", tmp_path)
    assert old.local() == same.local()
    s3.pipe_file("shop/sales/a.csv", b"new")
    assert old.local().read_bytes().startswith(CONTENT)  # it was fetched before
    (new,) = resolve("s3://shop/sales/a.csv", tmp_path)
    assert new.local().read_bytes() == b"new"
    (b,) = resolve("s3://shop/sales/b.csv", tmp_path)
    s3.pipe_file("shop/sales/b.csv", b"new")
    with pytest.raises(SourceChanged, match=r"sales/b\.csv has changed since it was found"):
        b.local()


def test_a_connection_as_airflow_writes_it(s3, endpoint, tmp_path, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    extra = f'{{"endpoint_url": "{endpoint}", "region_name": "us-east-1"}}'
    escaped = extra.replace('"', r"\"")
    in_json = f'{{"conn_type": "aws", "login": "id", "password": "k", "extra": "{escaped}"}}'
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_S3", in_json)
    monkeypatch.setenv("SHOP", f"aws://id:k@/?endpoint_url={endpoint}&region_name=us-east-1")
    for name in ("shop_s3", "SHOP"):
        assert len(resolve("s3://shop/sales/*.csv", tmp_path, connection=name)) == 2


def test_a_public_bucket_needs_no_credentials(s3, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert len(resolve("s3://shop/sales/*.csv", tmp_path)) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("s3://shop/sales/z.csv", r"expected files at s3://shop/sales/z\.csv, found none"),
        ("s3://shop/none/*.csv", r"expected files that fit s3://shop/none/\*\.csv, found none"),
        ("s3://nobody/a.csv", r"found none, or no such bucket"),
    ],
)
def test_what_is_not_there_is_said(s3, tmp_path, given, message):
    with pytest.raises(SourceError, match=message) as caught:
        resolve(given, tmp_path)
    assert not caught.value.retryable


def test_a_server_that_is_down_is_worth_a_retry(s3, tmp_path, monkeypatch):
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    (location,) = resolve("s3://shop/sales/a.csv", tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(SourceUnavailable, match=r"sales/a\.csv does not answer") as caught:
        resolve("s3://shop/sales/a.csv", tmp_path)
    assert "hush" not in str(caught.value)
    again = at(location.place, "s3://shop/sales/a.csv", tmp_path)
    with pytest.raises(SourceUnavailable):
        again.local()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError("Forbidden"), SourceError),
        (TimeoutError(), SourceUnavailable),
        (ConnectionResetError(), SourceUnavailable),
        (OSError(22, "invalid"), SourceError),
        (OSError(5, "broken"), SourceUnavailable),
        (ValueError("hush is odd"), SourceError),
    ],
)
def test_errors_of_libraries_become_ours(error, kind):
    def fail() -> None:
        raise error

    with pytest.raises(SourceError) as caught:
        objects.ObjectFiles("sftp://key:hush@host/a")._asked(fail)
    assert type(caught.value) is kind
    assert "hush" not in str(caught.value)


def test_other_protocols_of_fsspec_work_as_they_are(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/box/a.csv", b"a")
    memory.pipe_file("/box/b.csv", b"b")
    found = resolve("memory://box/*.csv", tmp_path)
    assert [location.local().read_bytes() for location in found] == [b"a", b"b"]


def test_a_dataset_in_a_bucket_has_the_bytes_of_one_on_this_machine(s3, tmp_path):
    for i in range(3):
        rows = "".join(f"{n},word {n % 7}\n" for n in range(1_000 * i, 1_000 * (i + 1)))
        s3.pipe_file(f"shop/orders/{i}.csv", f"n,word\n{rows}".encode())
        s3.get_file(f"shop/orders/{i}.csv", str(tmp_path / f"{i}.csv"))
    digests = set()
    for path in ("*.csv", "s3://shop/orders/*.csv", "s3://shop/orders/"):
        source = {"type": "files", "path": path, "table": "orders"}
        ingest(tmp_path / "raw", dataset_params(source=source, target=None), project=tmp_path)
        digests.add(digest(tmp_path / "raw"))
    assert len(digests) == 1
    assert count_rows(tmp_path / "raw", "orders") == 3_000
