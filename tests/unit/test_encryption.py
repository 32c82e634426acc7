import base64
import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import encryption
from tasks.encryption import CHUNK_BYTES, DecryptedFile, encrypted, read_encrypted, write_encrypted
from tasks.errors import DataError, WorkspaceError

MASTER = bytes(range(32))
HEADER_BYTES = 8 + 8 + 32 + 4
STRIDE = CHUNK_BYTES + 16


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(MASTER).decode())
    monkeypatch.delenv("PROOFMINT_ENCRYPTION_KEY_FILE", raising=False)


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
)
def test_content_comes_back(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    write_encrypted(tmp_path / "x.enc", content)
    assert read_encrypted(tmp_path / "x.enc") == content
    n_chunks = max(1, -(-size // CHUNK_BYTES))
    assert (tmp_path / "x.enc").stat().st_size == HEADER_BYTES + size + 16 * n_chunks


def test_equal_contents_give_equal_bytes_and_others_share_nothing() -> None:
    one, again = (b"".join(encrypted(b"a" * 100)) for _ in range(2))
    other = b"".join(encrypted(b"a" * 99 + b"b"))
    assert one == again
    # Magic, key name and chunk size are the same; the digest, and so all of the chunk, are not.
    assert one[:16] == other[:16]
    assert one[16:48] != other[16:48]
    assert one[52:152] != other[52:152]
    assert b"aaaa" not in one


def test_any_place_can_be_read(tmp_path: Path) -> None:
    content = os.urandom(2 * CHUNK_BYTES + 100)
    write_encrypted(tmp_path / "x.enc", content)
    with DecryptedFile(tmp_path / "x.enc") as file:
        assert file.seek(-50, os.SEEK_END) == len(content) - 50
        assert file.read() == content[-50:]
        assert file.read() == b""
        file.seek(CHUNK_BYTES - 10)
        assert file.read(20) == content[CHUNK_BYTES - 10 : CHUNK_BYTES + 10]
        assert file.tell() == CHUNK_BYTES + 10
        buffer = bytearray(7)
        assert file.readinto(buffer) == 7
        assert bytes(buffer) == content[CHUNK_BYTES + 10 : CHUNK_BYTES + 17]
        file.seek(len(content) + 5)
        assert file.read(1) == b""


def test_parquet_is_read_without_a_plain_file(tmp_path: Path) -> None:
    table = pa.table({"a": range(10_000), "b": [str(i) for i in range(10_000)]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_encrypted(tmp_path / "x.parquet.enc", buffer.getvalue())
    with DecryptedFile(tmp_path / "x.parquet.enc") as file:
        assert pq.read_table(pa.PythonFile(file, mode="r"), columns=["b"]) == table.select(["b"])


def _written(tmp_path: Path, n_chunks: int = 3) -> tuple[Path, bytearray]:
    write_encrypted(tmp_path / "x.enc", bytes(n_chunks * CHUNK_BYTES))
    return tmp_path / "x.enc", bytearray((tmp_path / "x.enc").read_bytes())


@pytest.mark.parametrize("place", [17, 50, HEADER_BYTES, HEADER_BYTES + STRIDE + 5, -1])
def test_a_flipped_bit_is_noticed(tmp_path: Path, place: int) -> None:
    path, data = _written(tmp_path)
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged or was altered"):
        read_encrypted(path)


@pytest.mark.parametrize(
    "left", [HEADER_BYTES, HEADER_BYTES + 10, HEADER_BYTES + STRIDE, HEADER_BYTES + 2 * STRIDE]
)
def test_a_file_that_was_cut_off_is_noticed_when_opened(tmp_path: Path, left: int) -> None:
    path, data = _written(tmp_path)
    path.write_bytes(data[:left])
    with pytest.raises(DataError, match="damaged or was altered"):
        DecryptedFile(path)


def test_chunks_that_were_exchanged_are_noticed(tmp_path: Path) -> None:
    path, data = _written(tmp_path)
    first = data[HEADER_BYTES : HEADER_BYTES + STRIDE]
    second = data[HEADER_BYTES + STRIDE : HEADER_BYTES + 2 * STRIDE]
    path.write_bytes(data[:HEADER_BYTES] + second + first + data[HEADER_BYTES + 2 * STRIDE :])
    with pytest.raises(DataError, match="from byte 52 on"):
        read_encrypted(path)


def test_a_chunk_of_another_file_is_noticed(tmp_path: Path) -> None:
    path, data = _written(tmp_path)
    other = b"".join(encrypted(b"\x01" * 3 * CHUNK_BYTES))
    data[HEADER_BYTES : HEADER_BYTES + STRIDE] = other[HEADER_BYTES : HEADER_BYTES + STRIDE]
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged or was altered"):
        read_encrypted(path)


def test_another_key_is_told_from_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = _written(tmp_path)
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    with pytest.raises(WorkspaceError, match="another key"):
        read_encrypted(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 100])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.enc").write_bytes(content)
    with pytest.raises(DataError, match="not an encrypted file"):
        read_encrypted(tmp_path / "x.enc")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*x\.enc: No such file"):
        read_encrypted(tmp_path / "x.enc")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("correct horse battery staple", "not base64"),
        (base64.b64encode(bytes(16)).decode(), "16 bytes"),
        (base64.b64encode(bytes(33)).decode(), "33 bytes"),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: str
) -> None:
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", text)
    with pytest.raises(WorkspaceError, match=found) as caught:
        write_encrypted(tmp_path / "x.enc", b"a")
    assert text not in str(caught.value)
    assert "os.urandom(32)" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_a_key_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROOFMINT_ENCRYPTION_KEY")
    with pytest.raises(WorkspaceError, match="PROOFMINT_ENCRYPTION_KEY_FILE, found neither"):
        write_encrypted(tmp_path / "x.enc", b"a")
    assert not list(tmp_path.iterdir())


def test_the_key_can_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROOFMINT_ENCRYPTION_KEY")
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(WorkspaceError, match="No such file"):
        encryption.key()
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(WorkspaceError, match="not text"):
        encryption.key()
    (tmp_path / "key").write_text(base64.b64encode(MASTER).decode() + "\n")
    assert encryption.key() == MASTER


def test_a_reader_that_is_dropped_is_closed_at_once(tmp_path: Path) -> None:
    path, _ = _written(tmp_path)
    file = DecryptedFile(path)
    file.read(10)
    stream = file._stream
    del file
    assert stream.closed


def test_only_a_few_chunks_are_kept(tmp_path: Path) -> None:
    path, _ = _written(tmp_path, n_chunks=20)
    with DecryptedFile(path) as file:
        assert file.read() == bytes(20 * CHUNK_BYTES)
        assert len(file._kept) == 16
