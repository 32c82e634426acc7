"""Target `s3`: a bucket of Amazon S3, or of whatever speaks its API.

    <url>/<dataset>/v2/…                   the release, every file an object
    <url>/<dataset>/v2.attestation.json
    <url>/<dataset>/current.json           which version is current: one object, replaced in one step

The attestation arrives last, so half a copy is told from a whole one. Readers take `current.json`
first and the files below the `prefix` that it names.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks.errors import VerificationError, WorkspaceError
from tasks.operation import ConnectionName, Record
from tasks.publishing.attestation import PREDICATE_TYPE
from tasks.publishing.envelope import open_signed
from tasks.publishing.manifest import MANIFEST_FILE
from tasks.publishing.targets._objects import answering, in_store, object_store
from tasks.publishing.targets.base import Copy, Target
from tasks.versions import Version

PART_BYTES = 50 * 2**20
"""Of a file that is sent in parts; two of them are still sent as one."""


class S3Settings(Record):
    """Settings of the target `s3`."""

    url: str = Field(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,62}(/[^/?#@]+)*/?$",
        description="bucket and prefix that hold a prefix for each dataset: s3://bucket/releases",
    )
    connection: ConnectionName | None = Field(
        default=None,
        description="names the variable, or Airflow connection, with the credentials; null: what"
        " the AWS libraries find by themselves",
    )
    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@]+/?$",
        description="of a store that is not Amazon's, http://host:port; null: that of the"
        " connection, of AWS_ENDPOINT_URL, or Amazon's",
    )


class S3Target(Target):
    """Copies below a prefix of a bucket."""

    Settings = S3Settings
    _opened: Any = None
    _seen: str | None = None
    """ETag of the pointer when it was looked at."""

    @property
    def _system(self) -> Any:
        if self._opened is None:
            self._opened = object_store(
                self.settings.url, self.settings.connection, self.settings.endpoint
            )
        return self._opened

    @property
    def _prefix(self) -> str:
        return f"{self.settings.url.removeprefix('s3://').rstrip('/')}/{self.dataset}"

    @property
    def place(self) -> str:
        """See `Target.place`."""
        url = f"s3://{self._prefix}"
        return in_store(url, self.settings.connection, self.settings.endpoint)

    def held(self) -> dict[int, str]:
        """See `Target.held`: prefixes with a manifest, the last file but one to arrive."""
        with answering():
            found = {}
            for path in self._listing("v*.attestation.json"):
                number = _number(path)
                if self._system.exists(f"{self._prefix}/v{number}/{MANIFEST_FILE}"):
                    found[number] = _digest_in(path, self._system.cat_file(path))
            return found

    def current(self) -> int | None:
        """See `Target.current`."""
        number, self._seen = self._pointer()
        return number

    def withdrawn(self) -> set[int]:
        """See `Target.withdrawn`."""
        with answering():
            return {_number(path) for path in self._listing("v*.withdrawn.json")}

    def put(self, copy: Copy) -> None:
        """See `Target.put`; what has arrived in an earlier try is not sent again."""
        name = copy.version.name
        files = [file.path for file in copy.manifest.files]
        with answering():
            there = self._system.find(f"{self._prefix}/{name}", detail=True)
            for path in [*files, MANIFEST_FILE]:
                key = f"{self._prefix}/{name}/{path}"
                if not _has_arrived(there.get(key), copy.folder / path):
                    self._system.put_file(
                        str(copy.folder / path), key, chunksize=PART_BYTES, max_concurrency=2
                    )
            self._write(f"{name}.attestation.json", copy.attestation)

    def point(self, number: int | None) -> None:
        """See `Target.point`: only if nobody else has moved it since `current` looked at it."""
        with answering():
            if number is None:
                if self._seen:
                    self._system.rm_file(f"{self._prefix}/current.json")
                self._seen = None
                return
            content = {
                "dataset": self.dataset,
                "version": f"v{number}",
                "prefix": f"s3://{self._prefix}/v{number}",
                "manifest_sha256": self.held()[number],
            }
            condition = {"IfMatch": self._seen} if self._seen else {"IfNoneMatch": "*"}
            text = json.dumps(content, indent=1) + "\n"
            self._system.pipe_file(f"{self._prefix}/current.json", text.encode(), **condition)
        self.current()

    def withdraw(self, version: Version) -> None:
        """See `Target.withdraw`."""
        if version.withdrawn is not None:
            with answering():
                self._write(f"{version.name}.withdrawn.json", version.withdrawn.notice)

    def drop(self, number: int) -> None:
        """See `Target.drop`; without its manifest a copy is no longer held, so that goes first."""
        with answering():
            self._system.rm_file(f"{self._prefix}/v{number}/{MANIFEST_FILE}")
            for path in self._system.find(f"{self._prefix}/v{number}"):
                self._system.rm_file(path)

    def _listing(self, pattern: str) -> list[str]:
        try:
            paths: list[str] = self._system.ls(self._prefix, detail=False)
        except FileNotFoundError:
            if not self._system.exists(self._prefix.partition("/")[0]):
                raise
            return []
        form = re.compile(re.escape(pattern).replace(r"\*", r"\d+"))
        return [path for path in paths if form.fullmatch(Path(path).name)]

    def _pointer(self) -> tuple[int | None, str | None]:
        """The version that the pointer names and the pointer's ETag; None: there is none."""
        place = f"{self._prefix}/current.json"
        with answering():
            try:
                info, text = self._system.info(place), self._system.cat_file(place)
            except FileNotFoundError:
                return None, None
        try:
            number = re.fullmatch(r"v(\d+)", json.loads(text)["version"])
        except (ValueError, KeyError, TypeError):
            number = None
        if number is None:
            raise WorkspaceError(f"s3://{place} is not what was written there; move it away")
        return int(number[1]), str(info["ETag"])

    def _write(self, name: str, text: str) -> None:
        self._system.pipe_file(f"{self._prefix}/{name}", text.encode())


def _digest_in(path: str, attestation: bytes) -> str:
    try:
        return open_signed(f"s3://{path}", attestation, PREDICATE_TYPE, None).manifest_sha256
    except VerificationError as error:
        raise WorkspaceError(f"{error}; move it away with its copy") from error


def _number(path: str) -> int:
    return int(path.rpartition("/v")[2].partition(".")[0])


def _has_arrived(info: Mapping[str, Any] | None, path: Path) -> bool:
    """Whether an object is the file, by the ETag that S3 makes of its bytes.

    A store that makes others (with keys of its own) is sent everything again, which is slow and safe.
    """
    if info is None or info["size"] != path.stat().st_size:
        return False
    return str(info.get("ETag")).strip('"') == _etag(path)


def _etag(path: Path) -> str:
    """The ETag of a file as `put_file` sends it: md5, or md5 of the md5 of its parts."""
    if path.stat().st_size < 2 * PART_BYTES:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, _md5).hexdigest()
    with path.open("rb") as stream:
        parts = [_md5(part).digest() for part in iter(lambda: stream.read(PART_BYTES), b"")]
    return f"{_md5(b''.join(parts)).hexdigest()}-{len(parts)}"


def _md5(content: bytes = b"") -> Any:
    return hashlib.md5(content, usedforsecurity=False)
