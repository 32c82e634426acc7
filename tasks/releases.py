"""The files of any version, to read, without a checkout: from DVC's cache, by their digests.

Where the cache does not have them, `releases/<name>` does, if it is that version.
"""

import configparser
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from tasks.errors import DataError, VerificationError, WorkspaceError
from tasks.metrics import Measurement, Result, judged
from tasks.params import Threshold
from tasks.partitions import base_of
from tasks.publishing.attestation import MODEL_EVIDENCE, PARAMS_EVIDENCE
from tasks.publishing.evidence import EVIDENCE_FOLDER
from tasks.publishing.manifest import MANIFEST_FILE, FileEntry, Manifest
from tasks.storage import digest
from tasks.versions import Version
from tasks.workspace import Gate, Layout
from tasks.worktrees import path_of

REPORT_FILE = "report.html"

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Release:
    """The files of one version, or of what a run would release, wherever they are kept."""

    dataset: str
    label: str
    """Names it in messages: `adult@v3`."""
    digest: str
    """sha256 of its manifest."""
    folder: Path
    """Where its files are if they are not in the cache."""
    _cached: Mapping[str, Path] = field(default_factory=dict, repr=False)
    """By path in the release, those that DVC's cache has."""

    @cached_property
    def manifest(self) -> Manifest:
        """The list of all files.

        Raises:
            WorkspaceError: it is not on this machine.
            VerificationError: it is not the one that was attested.
        """
        content = self._place(MANIFEST_FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise VerificationError(
                f"{self.label}: {MANIFEST_FILE} here is not the one that was released"
            )
        with self._of_known_form(MANIFEST_FILE):
            manifest = Manifest.model_validate_json(content)
        if manifest.dataset != self.dataset:
            raise VerificationError(f"{self.label}: the manifest is of another dataset")
        return manifest

    @cached_property
    def files(self) -> Mapping[str, FileEntry]:
        """What may be read, by path; the manifest itself is not listed in itself."""
        return {file.path: file for file in self.manifest.files}

    def place(self, path: str) -> Path:
        """Where a file of the manifest is on this machine, its digest checked.

        Raises:
            DataError: the release has no such file.
            WorkspaceError: it is not on this machine.
            VerificationError: it was changed since it was released.
        """
        place = self._listed(path)
        self._compare(path, digest(place))
        return place

    def read(self, path: str) -> bytes:
        """A file of the manifest, its digest checked.

        Raises:
            DataError, WorkspaceError, VerificationError: as of `place`.
        """
        content = self._listed(path).read_bytes()
        self._compare(path, hashlib.sha256(content).hexdigest())
        return content

    def read_json(self, path: str) -> Any:
        """As `read`, of a JSON file; None: the release has no such file."""
        return json.loads(self.read(path)) if path in self.files else None

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """The settings of the dataset that are public."""
        return self.read_json(PARAMS_EVIDENCE) or {}

    @cached_property
    def model(self) -> Mapping[str, Any]:
        """What is public of the generator."""
        return self.read_json(MODEL_EVIDENCE) or {}

    @cached_property
    def verdicts(self) -> Mapping[str, Mapping[str, Any]]:
        """The verdict of each gate that left one, in the order of the pipeline."""
        found = {g: self.read_json(f"{EVIDENCE_FOLDER}/gates/{g}.json") for g in get_args(Gate)}
        return {gate: verdict for gate, verdict in found.items() if verdict}

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """Every metric beside what was asked of it."""
        measured = self.read_json(f"{EVIDENCE_FOLDER}/metrics.json") or []
        thresholds = self.params.get("thresholds") or {}
        with self._of_known_form(EVIDENCE_FOLDER):
            return judged(
                [Measurement.model_validate(row) for row in measured],
                {k: v and Threshold.model_validate(v) for k, v in thresholds.items()},
            )

    @contextlib.contextmanager
    def _of_known_form(self, path: str) -> Iterator[None]:
        """Old releases are read by new code; what they say may have had another form."""
        try:
            yield
        except ValidationError as error:
            raise VerificationError(
                f"{self.label}: {path} has a form that this Proofmint does not read"
                f" ({error.error_count()} differences); look at it with the one that made it"
            ) from error

    def _listed(self, path: str) -> Path:
        if path not in self.files and path != MANIFEST_FILE:
            raise DataError(f"{self.label} has no file {path!r}")
        return self._place(path)

    def _compare(self, path: str, found: str) -> None:
        expected = self.digest if path == MANIFEST_FILE else self.files[path].sha256
        if found != expected:
            raise VerificationError(f"{self.label}: {path} was changed since it was released")

    def _place(self, path: str) -> Path:
        if (cached := self._cached.get(path)) and cached.is_file():
            return cached
        folder = self.folder.resolve()
        place = folder / path
        if place.is_file() and place.resolve() == place:  # no link, on no level
            return place
        raise WorkspaceError(
            f"{path} of {self.label} is not on this machine; `dvc pull` where the tag is checked"
            " out, or look where `publish.to` puts releases"
        )


def open_release(project: Path, version: Version) -> Release:
    """The files of a version, whichever place of this machine has them; none is read yet."""
    cache = _cache_of(project)
    listing = cache / "files" / "md5" / version.revision[:2] / version.revision[2:]
    try:
        content = json.loads(listing.read_bytes())
    except (OSError, ValueError):
        content = []
    cached = {
        str(file["relpath"]): cache / "files" / "md5" / file["md5"][:2] / file["md5"][2:]
        for file in content
        if _MD5.fullmatch(str(file.get("md5")))
    }
    folder = Layout(project, version.dataset).release
    return Release(version.dataset, version.tag, version.digest, folder, cached)


def open_candidate(project: Path, dag_id: str, run_id: str) -> Release | None:
    """What a run that has not ended would release; None: it has not come so far.

    Args:
        project: its own folder, which holds the worktrees of runs.
        dag_id: the dataset, or what it is a partition of.
        run_id: of the DAG run.
    """
    try:
        root = path_of(project, dag_id, run_id)
    except OSError:  # there is no state of the project, and we may make none
        return None
    for manifest in sorted((root / "releases").glob(f"*/{MANIFEST_FILE}")):
        dataset = manifest.relative_to(root / "releases").parts[0]
        if base_of(dataset) == dag_id:
            label = f"what {dataset} would release"
            return Release(dataset, label, digest(manifest), root / "releases" / dataset)
    return None


def _cache_of(project: Path) -> Path:
    """DVC's cache of the project."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    folder = project / ".dvc"
    settings.read([folder / "config", folder / "config.local"], encoding="utf-8")
    return folder / settings.get("cache", "dir", fallback="cache").strip("'\"")
