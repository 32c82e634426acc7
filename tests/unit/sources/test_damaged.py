"""Files with bytes that were changed, lost or added: read, or refused as a fault of the source."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import SourceError
from tasks.sources.base import Source
from tasks.sources.idx import IdxSource
from tasks.sources.images import ImageSource
from tasks.sources.npz import NpzSource
from tasks.sources.shards import ShardSource

N_DAMAGED = 60
PIXELS = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)


def encoded(form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS[0]).save(stream, form)
    return stream.getvalue()


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, PIXELS)
    return stream.getvalue()


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=PIXELS)
    return stream.getvalue()


def idx() -> bytes:
    return bytes([0, 0, 8, 4]) + struct.pack(">4I", *PIXELS.shape) + PIXELS.tobytes()


FILES = (("1.png", encoded("PNG")), ("1.cls", b"3"), ("1.json", b'{"age": 3}'))


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in FILES:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES:
            archive.writestr(name, content)
    return stream.getvalue()


CASES: dict[str, tuple[bytes, type[Source], dict[str, str]]] = {
    "npy": (npy(), NpzSource, {"path": "a/1.png"}),
    "npz": (npz(), NpzSource, {"path": "a/1.png"}),
    "idx": (idx(), IdxSource, {"images": "a/1.png"}),
    "idx.gz": (gzip.compress(idx()), IdxSource, {"images": "a/1.png"}),
    "tar": (tar(), ShardSource, {"path": "a/1.png"}),
    "tar.gz": (gzip.compress(tar()), ShardSource, {"path": "a/1.png"}),
    "zip": (zipped(), ShardSource, {"path": "a/1.png"}),
} | {
    form: (encoded(form), ImageSource, {"path": ".", "mode": "RGB"})
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
}


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to three places changed, cut out or filled in; half of them early on."""
    for _ in range(rng.integers(1, 4)):
        is_early = rng.random() < 0.5
        place = rng.integers(min(len(content), 200) if is_early else len(content))
        n_cut, n_added = [(1, 1), (rng.integers(1, 20), 0), (0, 5)][rng.integers(3)]
        content = content[:place] + rng.bytes(n_added) + content[place + n_cut :]
    return content


@pytest.mark.parametrize("name", CASES)
def test_damage_is_never_a_fault_of_ours(tmp_path: Path, name: str):
    content, source_class, settings = CASES[name]
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    n_refused = 0
    for _ in range(N_DAMAGED):
        (tmp_path / "a" / "1.png").write_bytes(damaged(content, rng))
        try:
            with source_class(settings, kind="image", target=None, project=tmp_path) as source:
                main = source.schema().main.name
                assert all(batch.num_rows for batch in source.read(main))
        except SourceError:
            n_refused += 1
    assert n_refused > N_DAMAGED / 10
