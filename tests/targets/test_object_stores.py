"""Targets in S3: what readers see while a copy is on its way, and what becomes of a store that is gone."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tasks.errors import TargetUnavailable, WorkspaceError
from tasks.publishing.delivery import deliver
from tasks.publishing.targets import s3 as s3_target
from tasks.publishing.targets.base import Copy
from tasks.publishing.verification import verify_release
from tests.copies import DATASET, made, plan, store


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_reader_takes_what_the_pointer_names_and_verifies_it(
    bucket: str, endpoint: str, copies: list[Copy], tmp_path: Path
) -> None:
    deliver(made("s3", tmp_path, url=f"{bucket}/a/b", connection="bucket"), plan(copies))
    s3 = store(endpoint)
    pointer = json.loads(s3.cat_file(f"{bucket}/a/b/{DATASET}/current.json"))
    assert pointer["version"] == "v3"
    assert pointer["manifest_sha256"] == copies[2].version.digest
    s3.get(pointer["prefix"], str(tmp_path / "v3"), recursive=True)
    s3.get_file(f"{pointer['prefix']}.attestation.json", str(tmp_path / "v3.attestation.json"))
    assert verify_release(tmp_path / "v3").attestation.facts["version"] == "v3"


def test_half_a_copy_is_seen_by_nobody_and_only_the_rest_is_sent_later(
    bucket: str,
    endpoint: str,
    copies: list[Copy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = made("s3", tmp_path, url=bucket, connection="bucket")
    deliver(target, plan(copies[:1]))
    s3, sent = store(endpoint), []
    system = target._system
    put_file = system.put_file

    def breaks_off(path: str, key: str, **options: object) -> None:
        if len(sent) == 5:
            raise ConnectionError("the line was cut")
        sent.append(key)
        put_file(path, key, **options)

    monkeypatch.setattr(system, "put_file", breaks_off)
    with pytest.raises(TargetUnavailable, match="does not answer"):
        deliver(target, plan(copies[:2]))
    assert len(s3.find(f"{bucket}/{DATASET}/v2")) == 5
    assert (set(target.held()), target.current()) == ({1}, 1)
    half = list(sent)
    sent.clear()
    monkeypatch.setattr(
        system, "put_file", lambda path, key, **o: (sent.append(key), put_file(path, key, **o))
    )
    assert deliver(target, plan(copies[:2])) == "v2 is current"
    assert not set(sent) & set(half)
    assert len(sent) + len(half) == len(copies[1].manifest.files) + 1


def test_a_large_file_goes_in_parts_and_is_known_again(
    bucket: str, endpoint: str, copies: list[Copy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_target, "PART_BYTES", 5 * 2**20)
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 4 * 2**10 * 11)
    target = made("s3", tmp_path, url=bucket, connection="bucket")
    target._system.put_file(str(large), f"{bucket[5:]}/large", chunksize=5 * 2**20)
    info = store(endpoint).info(f"{bucket}/large")
    assert info["ETag"].endswith('-3"')
    assert s3_target._has_arrived(info, large)
    large.write_bytes(b"\1" + large.read_bytes()[1:])
    assert not s3_target._has_arrived(info, large)


def test_of_two_publishers_the_slower_one_does_not_move_the_pointer_back(
    bucket: str, copies: list[Copy], tmp_path: Path
) -> None:
    one, other = (made("s3", tmp_path, url=bucket, connection="bucket") for _ in range(2))
    deliver(one, plan(copies[:1]))
    assert one.current() == 1
    one.put(copies[1])
    assert deliver(other, plan(copies)) == "v3 is current"
    with pytest.raises(TargetUnavailable, match="another publisher"):
        one.point(2)
    assert one.current() == 3


@pytest.mark.parametrize("damaged", [b"", b'{"version": "v', b"[1]", b'{"version": 3}', b"\xff"])
def test_a_damaged_pointer_or_attestation_is_named(
    damaged: bytes, bucket: str, endpoint: str, copies: list[Copy], tmp_path: Path
) -> None:
    for kind, settings in (("s3", {"url": bucket}), ("delta", {"path": f"{bucket}/lake"})):
        target = made(kind, tmp_path, connection="bucket", **settings)
        deliver(target, plan(copies[:1]))
        base = target.place.split(",")[0]
        record = "v1.attestation.json" if kind == "s3" else "v1.json"
        for name in ("current.json", record):
            kept = store(endpoint).cat_file(f"{base}/{name}")
            store(endpoint).pipe_file(f"{base}/{name}", damaged)
            with pytest.raises(WorkspaceError, match=f"{name}.*move it away") as caught:
                deliver(target, plan(copies[:2]))
            assert not caught.value.retryable
            store(endpoint).pipe_file(f"{base}/{name}", kept)
        assert deliver(target, plan(copies[:1])) == "v1 is current, as it was"


def test_a_store_that_says_nothing_is_given_up(
    bucket: str, silent: str, copies: list[Copy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.publishing.targets._objects.PROBE_READ_TIMEOUT_SECONDS", 1)
    target = made("s3", tmp_path, url=bucket, connection="bucket", endpoint=silent)
    with pytest.raises(TargetUnavailable, match="does not answer"):
        deliver(target, plan(copies))


def test_a_store_that_is_gone_may_come_back(
    bucket: str, copies: list[Copy], tmp_path: Path
) -> None:
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{once.getsockname()[1]}"
    for kind, settings in (("s3", {"url": bucket}), ("delta", {"path": bucket})):
        target = made(kind, tmp_path, connection="bucket", endpoint=gone, **settings)
        with pytest.raises(TargetUnavailable) as caught:
            deliver(target, plan(copies))
        assert caught.value.retryable
        assert "hush-hush" not in str(caught.value)


def test_a_missing_bucket_or_connection_is_no_passing_fault(
    bucket: str, copies: list[Copy], tmp_path: Path
) -> None:
    target = made("s3", tmp_path, url="s3://no-such-bucket", connection="bucket")
    with pytest.raises(WorkspaceError, match="check the bucket") as caught:
        deliver(target, plan(copies))
    assert not caught.value.retryable
    target = made("s3", tmp_path, url=bucket, connection="NOBODY")
    with pytest.raises(WorkspaceError, match=r"target's `connection` names 'NOBODY'") as caught:
        deliver(target, plan(copies))
    assert not caught.value.retryable


def test_delta_tables_live_in_s3(
    bucket: str, endpoint: str, copies: list[Copy], tmp_path: Path
) -> None:
    target = made("delta", tmp_path, path=f"{bucket}/lake", connection="bucket")
    for n in (1, 2):
        deliver(target, plan(copies[:n]))
    options = {
        "AWS_ACCESS_KEY_ID": "id-of-the-key",
        "AWS_SECRET_ACCESS_KEY": "hush-hush",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    table = DeltaTable(f"{bucket}/lake/{DATASET}/patients", storage_options=options)
    assert table.count() == 22
    assert deliver(target, plan(copies[:2], 2)) == "v1 is current"
    assert deliver(target, plan(copies[:2], 1, 2)) == "no version stands"
    table.update_incremental()
    assert table.count() == 0
