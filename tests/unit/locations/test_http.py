"""Files of a web server that breaks off, refuses, changes and redirects."""

import gzip
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import retry
from tasks.errors import SourceChanged, SourceError, SourceUnavailable
from tasks.locations import remote
from tasks.locations.resolve import at, resolve
from tests.web import Page, WebServer, web_server

CONTENT = bytes(range(256)) * 4_096


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short."""
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.001)


def fetch(url: str, project: Path, **settings) -> bytes:
    (location,) = resolve(url, project, **settings)
    with location.reading() as path:
        return path.read_bytes()


def cached(project: Path) -> list[str]:
    files = (project / ".proofmint" / "cache" / "files").rglob("*")
    return [path.name for path in files if path.is_file() and path.suffix != ".lock"]


def test_a_file_is_fetched_once(web, tmp_path):
    web.pages["/a%20b.csv"] = Page(CONTENT)
    url = f"{web.url}/a%20b.csv"
    (location,) = resolve(url, tmp_path)
    assert (location.name, location.size_bytes) == ("a b.csv", len(CONTENT))
    assert location.local().read_bytes() == CONTENT
    assert location.local().name == "a b.csv"
    n_asked = len(web.asked)
    assert at(location.place, url, tmp_path).local().read_bytes() == CONTENT
    assert len(web.asked) == n_asked
    assert fetch(url, tmp_path) == CONTENT
    assert len(web.asked) == n_asked + 1  # whether it is still the same
    web.pages["/a%20b.csv"] = Page(b"new", etag='"2"')
    assert fetch(url, tmp_path) == b"new"


def test_a_file_without_a_version_is_fetched_at_every_run(web, tmp_path):
    web.pages["/a.csv"] = Page(b"one", etag=None)
    (location,) = resolve(f"{web.url}/a.csv", tmp_path)
    assert location.local().read_bytes() == b"one"
    web.pages["/a.csv"] = Page(b"two", etag=None)
    assert location.local().read_bytes() == b"one"
    assert fetch(f"{web.url}/a.csv", tmp_path) == b"two"


def test_what_broke_off_is_resumed(web, tmp_path):
    # The first request is for the headers; the second, third and fourth break off.
    web.pages["/a.csv"] = Page(CONTENT, breaks_after=[9, 200_000, 300_000, 100])
    assert fetch(f"{web.url}/a.csv", tmp_path) == CONTENT
    ranges = [given for _, given in web.asked]
    assert ranges == [None, None, "bytes=200000-", "bytes=500000-", "bytes=500100-"]


def test_without_ranges_it_starts_again(web, tmp_path):
    web.pages["/a.csv"] = Page(CONTENT, ranges=False, breaks_after=[9, 200_000])
    assert fetch(f"{web.url}/a.csv", tmp_path) == CONTENT


def test_what_the_server_packs_for_the_way_is_unpacked(web, tmp_path):
    packed = gzip.compress(CONTENT)
    web.pages["/a.csv"] = Page(packed, encoding="gzip", breaks_after=[9, 500])
    assert fetch(f"{web.url}/a.csv", tmp_path) == CONTENT
    web.pages["/a.csv.gz"] = Page(packed, encoding="gzip", breaks_after=[9, 500])
    assert fetch(f"{web.url}/a.csv.gz", tmp_path) == packed


def test_progress_resets_the_count_of_tries(web, tmp_path):
    breaks = [9, *(50_000 for _ in range(3 * remote.TRIES))]
    web.pages["/a.csv"] = Page(CONTENT, breaks_after=breaks)
    assert fetch(f"{web.url}/a.csv", tmp_path) == CONTENT


def test_a_server_that_is_busy_is_asked_again(web, tmp_path):
    web.pages["/a.csv"] = Page(CONTENT, statuses=[503, 429, 200, 500, 502])
    assert fetch(f"{web.url}/a.csv", tmp_path) == CONTENT


def test_a_file_that_never_comes_whole_is_not_kept(web, tmp_path):
    web.pages["/a.csv"] = Page(CONTENT, length=len(CONTENT) + 7, ranges=False)
    with pytest.raises(SourceUnavailable, match="the connection broke off"):
        fetch(f"{web.url}/a.csv", tmp_path)
    folders = list((tmp_path / ".proofmint" / "cache" / "files").glob("*/"))
    assert [folder.suffix for folder in folders] == [".draft"]
    assert len([1 for path, _ in web.asked if path == "/a.csv"]) == 1 + remote.TRIES


def test_a_file_that_changes_while_it_is_fetched_is_refused(web, tmp_path):
    web.pages["/a.csv"] = Page(CONTENT)
    (location,) = resolve(f"{web.url}/a.csv", tmp_path)
    web.pages["/a.csv"] = Page(CONTENT[::-1], etag='"2"')
    with pytest.raises(SourceChanged, match="has changed since it was found"):
        location.local()
    assert cached(tmp_path) == []


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (None, "expected a file at .*, the server said: 404 Not Found"),
        (Page(statuses=[403]), "may not be read: 403 Forbidden; name a `connection`"),
        (Page(login="ann:pw"), "may not be read: 401 Unauthorized"),
        (Page(redirect="file:///etc/passwd"), "or redirects to another protocol"),
        (Page(redirect="ftp://example.org/a"), "or redirects to another protocol"),
        (Page(redirect="/a.csv"), "redirects in circles"),
    ],
)
def test_what_no_retry_helps_is_refused_at_once(web, tmp_path, page, message):
    if page is not None:
        web.pages["/a.csv"] = page
    with pytest.raises(SourceError, match=message) as caught:
        fetch(f"{web.url}/a.csv", tmp_path)
    assert not caught.value.retryable


def test_passwords_are_sent_and_not_shown(web, tmp_path, monkeypatch):
    web.pages["/a.csv"] = Page(b"x", login="ann:pa:ss")
    monkeypatch.setenv("SHOP", "http://ann:pa%3Ass@host")
    assert fetch(f"{web.url}/a.csv", tmp_path, connection="SHOP") == b"x"
    host = web.url.removeprefix("http://")
    assert fetch(f"http://ann:pa%3Ass@{host}/a.csv", tmp_path) == b"x"
    (location,) = resolve(f"http://ann:pa%3Ass@{host}/a.csv?token=hush", tmp_path)
    assert location.url == f"http://{host}/a.csv?token=***"
    assert "pa%3Ass" not in f"{location!r} {location.place}"
    assert "hush" not in f"{location!r} {location.place}"
    with pytest.raises(SourceError) as caught:
        fetch(f"http://ann:wrong@{host}/a.csv?token=hush", tmp_path)
    assert "wrong" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_header_of_the_connection_is_sent(web, tmp_path, monkeypatch):
    web.pages["/a.csv"] = Page(b"x", login="u:p")
    token = '{"extra": {"Authorization": "Basic dTpw"}}'
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", token)
    assert fetch(f"{web.url}/a.csv", tmp_path, connection="shop") == b"x"


def test_nobody_there_is_worth_a_retry(tmp_path):
    with pytest.raises(
        SourceUnavailable, match=r"127\.0\.0\.1:1/a does not answer: connection ref"
    ):
        fetch("http://ann:pw@127.0.0.1:1/a", tmp_path)
    with pytest.raises(SourceError, match="expected a URL like http://host/file") as caught:
        fetch("http://ann:pw@[::1/a", tmp_path)
    assert "pw" not in str(caught.value)
    with pytest.raises(SourceError, match="is no URL of a file"):
        fetch("http://", tmp_path)


@pytest.mark.parametrize("value", [None, "", "no connection", "{bad json", '{"extra": 3}'])
def test_a_connection_that_is_none_is_said(tmp_path, monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("SHOP", value)
    with pytest.raises(SourceError, match="SHOP") as caught:
        resolve("http://127.0.0.1:1/a", tmp_path, connection="SHOP")
    assert value is None or not value or value not in str(caught.value)


def _fetch_in_process(url: str, project: Path, results: "multiprocessing.Queue[bytes]") -> None:
    results.put(fetch(url, project))


def test_two_processes_fetch_a_file_once(web, tmp_path):
    web.pages["/a.csv"] = Page(CONTENT)
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[bytes] = context.Queue()
    arguments = (f"{web.url}/a.csv", tmp_path, results)
    processes = [context.Process(target=_fetch_in_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    assert [results.get(timeout=30) for _ in processes] == [CONTENT] * 3
    for process in processes:
        process.join()
    assert len(web.asked) == 3 + 1  # three times the headers, once the file
