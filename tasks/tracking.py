"""MLflow: every training is a run, every release a version of a registered model.

The one module that imports MLflow. Its client is used as an object; the fluent interface with its
process-wide active run is not. A run is found again by a key that the training keeps beside its
checkpoint, so a retry continues the same run and logs nothing twice.
"""

import contextlib
import io
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import TrackingUnavailable, WorkspaceError
from tasks.workspace import disk_full, locked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

ALIAS = "released"
"""Of the model version that stands behind a dataset's newest release."""

FLUSH_SECONDS = 2.0
"""Metrics are sent together; what a killed process had not sent, its successor reports again."""

MODEL_FOLDER = "model"
"""Of a run's artifacts."""

SAMPLES = "samples"
"""Key of the pictures that a training shows, and folder of its texts."""

WARNING_TAG = "proofmint.warning"
"""What is doubtful about a training."""

_KEY_TAG = "proofmint.key"
_MODEL_TAG = "proofmint.model_sha256"
_PARENT_TAG = "mlflow.parentRunId"
"""By which MLflow shows a run below another."""
_DIGEST_CHARS = 36
"""MLflow's limit for the digest of a dataset."""

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own: seven tries within four minutes, of two minutes each.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """What a run is about.

    Attributes:
        dataset: its name is also the experiment's.
        params: settings, nested.
        data_digest: sha256 of the training data.
        data_profile: numbers about the data: rows, columns.
        tags: facts to search by.
        name: of the run; None: one is made up.
        parent: id of the run that this one is part of.
    """

    dataset: str
    params: Mapping[str, Any]
    data_digest: str
    data_profile: Mapping[str, int]
    tags: Mapping[str, str]
    name: str | None = None
    parent: str | None = None


def open_tracker(uri: str | None, state: Path) -> "Tracker":
    """Connect to MLflow and see that it answers.

    Args:
        uri: of a tracking server; user and password come from `MLFLOW_TRACKING_USERNAME` and
            `MLFLOW_TRACKING_PASSWORD`. None: a store of the project's own.
        state: folder of that store.

    Raises:
        TrackingUnavailable: the server does not answer.
        WorkspaceError: it refuses us, or the address is wrong.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with _answering(uri or str(state)):
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        if uri:
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
            return Tracker(client, None)
        state.mkdir(parents=True, exist_ok=True)
        # Two processes that make or migrate the same database at once break it.
        with locked(state / "lock"):
            client = MlflowClient(f"sqlite:///{(state / 'mlflow.db').resolve()}?timeout=60")
            client.search_experiments(max_results=1)
        return Tracker(client, (state / "artifacts").resolve().as_uri())


class Tracker:
    """A connection to MLflow."""

    def __init__(self, client: "MlflowClient", artifacts: str | None) -> None:
        """Use `client`; new experiments keep their files at `artifacts` (None: the server knows)."""
        self._client = client
        self._artifacts = artifacts

    @contextlib.contextmanager
    def run(self, training: Training, key_file: Path) -> Iterator["Run"]:
        """The run of a training; the one that was interrupted, if `key_file` remembers it.

        Args:
            training: what it is about.
            key_file: lives as long as the training may be continued.

        Raises:
            TrackingUnavailable: MLflow stopped answering.
        """
        with _answering(self._client.tracking_uri):
            run = self._open(training, _key(key_file))
        try:
            yield run
        except TrackingUnavailable:
            raise
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            # The error that ended the training is the one to show.
            with contextlib.suppress(TrackingUnavailable, WorkspaceError):
                run.close(status)
            raise
        run.close("FINISHED")

    def find_run(self, model_sha256: str) -> str | None:
        """The id of the newest finished run that made the model with this digest of its folder."""
        with _answering(self._client.tracking_uri):
            places = [e.experiment_id for e in self._client.search_experiments()]
            wanted = f"tags.`{_MODEL_TAG}` = '{model_sha256}' and attributes.status = 'FINISHED'"
            order = ["attributes.start_time DESC"]
            found = self._client.search_runs(places, wanted, max_results=1, order_by=order)
            return found[0].info.run_id if found else None

    def register_release(self, dataset: str, run_id: str, version: str, **tags: str) -> None:
        """Make the model of a run a version of the registered model `dataset`, alias `released`.

        Doing it again for the same release changes nothing.

        Args:
            dataset: name of the dataset.
            run_id: run that trained the generator, from `find_run`.
            version: of the release, e.g. `v3`.
            tags: more facts: digests, revision.
        """
        client = self._client
        with _answering(client.tracking_uri):
            if not client.search_registered_models(f"name = '{dataset}'"):
                client.create_registered_model(dataset)
            versions = client.search_model_versions(f"name = '{dataset}'")
            known = [v for v in versions if v.run_id == run_id and v.tags.get("release") == version]
            model = known[0] if known else self._new_version(dataset, run_id, version, tags)
            client.set_registered_model_alias(dataset, ALIAS, model.version)

    def withdraw_release(self, dataset: str, version: str, standing: str | None) -> None:
        """Mark the model of a withdrawn release; alias `released` moves to the one that stands.

        Models of releases that MLflow does not know are passed over.

        Args:
            dataset: name of the dataset.
            version: of the release, e.g. `v3`.
            standing: the newest release that stands; None: none does, and the alias goes.
        """
        client = self._client
        with _answering(client.tracking_uri):
            found = client.search_model_versions(f"name = '{dataset}'")
            for model in (m for m in found if m.tags.get("release") == version):
                client.set_model_version_tag(dataset, model.version, "withdrawn", "true")
            if not found:
                return
            current = [m for m in found if m.tags.get("release") == standing]
            if current:
                client.set_registered_model_alias(dataset, ALIAS, current[0].version)
            else:
                client.delete_registered_model_alias(dataset, ALIAS)

    def unreleased_runs(self, before: float) -> list[str]:
        """Ids of runs that ended before a moment (`time.time()`) and are behind no model's version."""
        with _answering(self._client.tracking_uri):
            released = {model.run_id for model in self._pages(self._client.search_model_versions)}
            places = [e.experiment_id for e in self._pages(self._client.search_experiments)]
            ended = f"attributes.end_time < {int(before * 1000)}"
            runs = self._pages(
                lambda page_token: self._client.search_runs(
                    places, ended, max_results=1000, page_token=page_token
                )
            )
            kept = [r for r in runs if r.info.run_id in released or r.info.status == "RUNNING"]
            # The run of a search is there as long as one of its trials is.
            released.update(r.info.run_id for r in kept)
            released.update(r.data.tags.get(_PARENT_TAG, "") for r in kept)
            return [r.info.run_id for r in runs if r.info.run_id not in released]

    def delete_runs(self, run_ids: Iterable[str]) -> None:
        """Mark runs as deleted: MLflow hides them, and `mlflow gc` removes them for good."""
        with _answering(self._client.tracking_uri):
            for run_id in run_ids:
                self._client.delete_run(run_id)

    @staticmethod
    def _pages(search: Callable[..., Any]) -> list[Any]:
        """All that a search of MLflow's finds."""
        found, token = [], None
        while True:
            page = search(page_token=token)
            found += page
            if not (token := page.token):
                return found

    def log_release_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Add the metrics of a release to the run that trained its generator, once."""
        with _answering(self._client.tracking_uri):
            run = Run(self._client, run_id)
            run.log(0, {f"release.{name}": value for name, value in metrics.items()})
            run.flush()

    def _new_version(self, dataset: str, run_id: str, version: str, tags: dict[str, str]) -> Any:
        source = f"runs:/{run_id}/{MODEL_FOLDER}"
        return self._client.create_model_version(
            dataset, source, run_id, tags={"release": version, **tags}
        )

    def _open(self, training: Training, key: str) -> "Run":
        client, experiment = self._client, self._experiment(training.dataset)
        found = client.search_runs([experiment], f"tags.`{_KEY_TAG}` = '{key}'", max_results=1)
        if found:
            run_id = found[0].info.run_id
            client.update_run(run_id, status="RUNNING")
        else:
            tags = {_KEY_TAG: key, **training.tags}
            if training.parent:
                tags[_PARENT_TAG] = training.parent
            name = training.name or key[:8]
            run_id = client.create_run(experiment, tags=tags, run_name=name).info.run_id
        run = Run(client, run_id)
        run.describe(training)
        return run

    def _experiment(self, name: str) -> str:
        from mlflow import MlflowException

        if found := self._client.get_experiment_by_name(name):
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        try:
            place = None if self._artifacts is None else f"{self._artifacts}/{name}"
            return str(self._client.create_experiment(name, artifact_location=place))
        except MlflowException:
            # Another process may have made it since we looked.
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)


class Run:
    """One run, written by one process at a time.

    Attributes:
        id: how MLflow calls it.
    """

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        """Continue the existing run `run_id`: what it already has is not logged again."""
        self.id = run_id
        self._client = client
        run: MlflowRun = client.get_run(run_id)
        self._params = set(run.data.params)
        self._logged = {
            (metric.key, metric.step)
            for key in run.data.metrics
            for metric in client.get_metric_history(run_id, key)
        }
        self._waiting: list[tuple[str, float, int, int]] = []
        self._next_flush = time.monotonic() + FLUSH_SECONDS
        self._warning: str | None = None
        self._shown: set[int] | None = None

    def describe(self, training: Training) -> None:
        """Log the settings and the data of the training."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        settings = {k: v for k, v in _flat(training.params).items() if k not in self._params}
        params = [Param(name, value) for name, value in settings.items()]
        for start in range(0, len(params), 100):
            self._client.log_batch(self.id, params=params[start : start + 100])
        data = Dataset(
            name=training.dataset,
            digest=training.data_digest[:_DIGEST_CHARS],
            source_type="local",
            source=json.dumps({"sha256": training.data_digest}),
            profile=json.dumps(training.data_profile),
        )
        context = [InputTag("mlflow.data.context", "training")]
        self._client.log_inputs(self.id, datasets=[DatasetInput(data, context)])

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log metrics of a step; those that the run already has are left out."""
        now = time.time_ns() // 1_000_000
        for key, value in metrics.items():
            if (key, step) not in self._logged:
                self._logged.add((key, step))
                self._waiting.append((key, value, now, step))
        if time.monotonic() >= self._next_flush:
            try:
                self.flush()
            except TrackingUnavailable as error:
                # What is waiting is sent with the next ones, or at the end, where it must succeed.
                _log.warning("%s; the training goes on", error)

    def flush(self) -> None:
        """Send what is waiting.

        Raises:
            TrackingUnavailable: MLflow does not answer.
        """
        from mlflow.entities import Metric

        with _answering(self._client.tracking_uri):
            if self._warning is not None:
                self._client.set_tag(self.id, WARNING_TAG, self._warning)
                self._warning = None
            while self._waiting:
                batch = self._waiting[:1000]
                self._client.log_batch(self.id, metrics=[Metric(*metric) for metric in batch])
                del self._waiting[:1000]
        self._next_flush = time.monotonic() + FLUSH_SECONDS

    def show(self, step: int, suffix: str, content: bytes) -> None:
        """Keep a file that shows samples of a step: pictures where MLflow's pages show them by step.

        Steps that the run already shows are left out; where MLflow does not answer, this one is.

        Args:
            step: after which they were drawn.
            suffix: `.png` or that of a text.
            content: of the file.
        """
        try:
            with _answering(self._client.tracking_uri):
                if self._shown is None:
                    self._shown = self._steps_shown()
                if step in self._shown:
                    return
                self._shown.add(step)
                if suffix == ".png":
                    from PIL import Image

                    with Image.open(io.BytesIO(content)) as picture:
                        self._client.log_image(self.id, picture, key=SAMPLES, step=step)
                else:
                    name = f"{SAMPLES}/step-{step:08d}{suffix}"
                    self._client.log_text(self.id, content.decode(), name)
        except TrackingUnavailable as error:
            _log.warning("%s; the training goes on", error)

    def warn(self, message: str) -> None:
        """Mark the run with a warning, in place of an earlier one."""
        self._warning = message

    def _steps_shown(self) -> set[int]:
        """Steps of which the run shows samples: MLflow names pictures by key, step and time."""
        files = [
            Path(item.path).name
            for folder in ("images", SAMPLES)
            for item in self._client.list_artifacts(self.id, folder)
        ]
        found = (re.match(rf"(?:{SAMPLES}\+step\+|step-)(\d+)", name) for name in files)
        return {int(match[1]) for match in found if match}

    def log_model(self, folder: Path, sha256: str) -> None:
        """Keep the files of a model with the run, which `Tracker.find_run` then finds by digest.

        Raises:
            TrackingUnavailable: MLflow does not answer.
        """
        with _answering(self._client.tracking_uri):
            self._client.log_artifacts(self.id, str(folder), MODEL_FOLDER)
            self._client.set_tag(self.id, _MODEL_TAG, sha256)

    def log_file(self, path: Path) -> None:
        """Keep a file with the run, in place of one of the same name.

        Raises:
            TrackingUnavailable: MLflow does not answer.
        """
        with _answering(self._client.tracking_uri):
            self._client.log_artifact(self.id, str(path))

    def tag(self, name: str, value: str) -> None:
        """Set a fact to search by.

        Raises:
            TrackingUnavailable: MLflow does not answer.
        """
        with _answering(self._client.tracking_uri):
            self._client.set_tag(self.id, name, value)

    def close(self, status: str) -> None:
        """Send what is waiting and end the run as `FINISHED`, `FAILED` or `KILLED`."""
        self.flush()
        with _answering(self._client.tracking_uri):
            self._client.set_terminated(self.id, status)


@contextlib.contextmanager
def _answering(uri: str) -> Iterator[None]:
    """Turn what MLflow raises into errors with a message; `uri` is shown without its secrets."""
    try:
        yield
    except (TrackingUnavailable, WorkspaceError):
        raise
    except Exception as error:
        from mlflow import MlflowException

        if not isinstance(error, (MlflowException, OSError)):
            raise
        shown = re.sub(r"//[^/@]*@", "//", uri)
        reason = re.sub(r"//[^/@\s]*@", "//", str(error)).strip().splitlines()[0][:300]
        if "disk is full" in str(error) or "No space left" in str(error):
            raise disk_full(f"MLflow's store at {shown}") from error
        if _is_refusal(error):
            raise WorkspaceError(
                f"MLflow at {shown} refused: {reason}; check MLFLOW_TRACKING_URI,"
                " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            ) from error
        raise TrackingUnavailable(
            f"expected an answer of MLflow at {shown}: {reason}; start the server, or unset"
            " MLFLOW_TRACKING_URI to use the project's own store"
        ) from error


def _is_refusal(error: Exception) -> bool:
    """Whether MLflow did answer, and asking again would change nothing."""
    from mlflow import MlflowException

    if not isinstance(error, MlflowException):
        return False
    status = int(error.get_http_status_code())  # type: ignore[no-untyped-call]
    return 400 <= status < 500 and status not in (408, 429)


def _key(place: Path) -> str:
    """The key of a training's run; made before the run, so that a run without a key cannot be."""
    with contextlib.suppress(FileNotFoundError):
        if key := place.read_text(encoding="ascii").strip():
            return key
    key = uuid.uuid4().hex
    draft = place.with_name(f".{place.name}.draft")
    draft.write_text(key, encoding="ascii")
    os.replace(draft, place)
    return key


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted names of the leaves; MLflow takes texts."""
    flat: dict[str, str] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value) if not isinstance(value, str) else value
    return flat
