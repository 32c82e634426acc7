"""A git worktree for each run, so that runs never see each other's files and nobody sees theirs.

    .proofmint/worktrees/adult/manual-2026-11-21T02-1f3a9c2b/   the run's files, gone when it ends
    .proofmint/runs/adult/manual-2026-11-21T02-1f3a9c2b/        commit, params.yaml, dvc.lock: kept

A worktree is the project at one commit, with params.yaml narrowed to one dataset, so that DVC's
work and the dataset's branch do not grow with the number of datasets. It starts without a
dvc.lock: DVC's run cache, which all worktrees share, knows what any run ever computed, so a stage
that is not new is checked out instead of run. What is kept of a run is enough to open its worktree
again: that is how a failed task can be cleared days later.

A partition (`tasks.partitions`) is a dataset that only its runs have: its entry in params.yaml is made
from that of the partitioned dataset, and its suites are copies under its name.

Where workers share no disk, each task has a worktree of its own for as long as it works, made of
the same three facts, which it is handed (`RunRecord`, `own_worktree`).
"""

import configparser
import contextlib
import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tasks.errors import ParamsError, WorkspaceError
from tasks.partitions import PartitionError, base_of, key_of, parse
from tasks.pipeline import PARAMS_FILE, PIPELINE_FILE, PipelineError, load_dataset, load_each
from tasks.workspace import Gate, Layout, dvc, git, locked, state_of

LOCK_FILE = "dvc.lock"

OVERRIDES: dict[str, tuple[str, ...]] = {
    "rows": ("sample", "rows"),
    "seed": ("seed",),
    "generator": ("generator",),
    "generator_params": ("generator_params",),
    "epochs": ("train", "epochs"),
    "batch_size": ("train", "batch_size"),
    "learning_rate": ("train", "learning_rate"),
}
"""What a run may set, and where it stands below the dataset in params.yaml."""


@dataclass(frozen=True)
class Worktree:
    """An open worktree."""

    path: Path
    commit: str
    uncommitted: tuple[str, ...]
    """Files that differ in the project's folder; the run does not see these changes."""


@dataclass(frozen=True)
class RunRecord:
    """What it takes to open the worktree of a run on any machine that has the commit."""

    commit: str
    params: str
    """Text of params.yaml, narrowed to the dataset and with the run's own settings."""
    lock: str = ""
    """Text of dvc.lock: what is known of outputs; empty: nothing."""


def path_of(project: Path, dataset: str, run_id: str) -> Path:
    """Where the worktree of a run is, open or not."""
    return state_of(project) / "worktrees" / dataset / _slug(run_id)


def openings(project: Path) -> Path:
    """The lock that whoever opens a worktree shares, and that a clean-up of DVC's cache has alone."""
    return state_of(project) / "locks" / "openings"


def open_worktree(
    project: Path, dataset: str, run_id: str, overrides: Mapping[str, Any] | None = None
) -> Worktree:
    """Make the worktree of a run, or find it again.

    Args:
        project: the project's own folder, not one of its worktrees.
        dataset: the one that params.yaml is narrowed to.
        run_id: any text that names the run among those of this dataset.
        overrides: settings by their name in OVERRIDES; None as a value: as params.yaml says.

    Raises:
        ParamsError: the commit has no such dataset, or there is no such setting.
        WorkspaceError: git or DVC refused.
    """
    place, record = path_of(project, dataset, run_id), _record_of(project, dataset, run_id)
    with locked(openings(project), shared=True), locked(record / "lock"):
        if not (record / "commit").exists():
            _write_record(record, start_record(project, dataset, overrides))
        found = _read_record(record)
        if not _is_open(place, found.commit):
            _build(project, place, found, dataset)
            if found.lock:
                dvc(place, "checkout", "--quiet", "--force", "--allow-missing")
    return Worktree(place, found.commit, uncommitted(project, dataset))


def close_worktree(project: Path, dataset: str, run_id: str) -> None:
    """Remove the worktree of a run; what is needed to open it again is kept."""
    place, record = path_of(project, dataset, run_id), _record_of(project, dataset, run_id)
    with locked(record / "lock"):
        if (place / LOCK_FILE).exists():
            shutil.copyfile(place / LOCK_FILE, record / LOCK_FILE)
        _remove(project, place)


def start_record(
    project: Path, dataset: str, overrides: Mapping[str, Any] | None = None
) -> RunRecord:
    """What a run that starts now works with: the commit that is checked out in the project.

    Raises:
        ParamsError: the commit has no such dataset, or there is no such setting.
    """
    commit = git(project, "rev-parse", "HEAD")
    params = narrow(git(project, "show", f"{commit}:{PARAMS_FILE}") + "\n", dataset, overrides)
    return RunRecord(commit, params)


@contextlib.contextmanager
def own_worktree(project: Path, dataset: str, name: str, record: RunRecord) -> Iterator[Path]:
    """A worktree for the length of the block, which starts with the dvc.lock of the record.

    Args:
        project: the clone of this machine.
        dataset: the one that the record is about.
        name: any text that names it among those of this dataset. One that a killed process left
            is found again, so that what still runs in it can be ended.
        record: what was handed over.
    """
    place = path_of(project, dataset, name)
    lock = _record_of(project, dataset, name) / "lock"
    with locked(openings(project), shared=True), locked(lock):
        if not _is_open(place, record.commit):
            _build(project, place, record, dataset)
        _write_lock(place, record.lock)
    try:
        yield place
    finally:
        with locked(_record_of(project, dataset, name) / "lock"):
            _remove(project, place)
        shutil.rmtree(_record_of(project, dataset, name), ignore_errors=True)


def uncommitted(root: Path, dataset: str) -> tuple[str, ...]:
    """Files that decide what the stages of a dataset do and that differ from the commit.

    Raises:
        ParamsError: the dataset's entry is wrong by now, or stands where a partition's would.
    """
    # The project has the partitioned dataset, and only worktrees have the partition.
    try:
        known = dataset if dataset in load_each(root) else base_of(dataset)
        stages = load_dataset(root, known).stages
    except PipelineError as error:
        raise ParamsError(str(error)) from error
    paths = {PIPELINE_FILE, PARAMS_FILE, "tasks", *(dep for stage in stages for dep in stage.deps)}
    asked = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    listing = git(root, *asked, "--", *sorted(paths))
    # `git` strips the leading space of ` M file`, so the path is found behind the letters.
    return tuple(
        sorted(entry.strip().split(" ", 1)[1].strip() for entry in listing.split("\0") if entry)
    )


def narrow(text: str, dataset: str, overrides: Mapping[str, Any] | None = None) -> str:
    """params.yaml with one dataset alone and some of its settings changed; comments are kept.

    The dataset may be a partition of one: then the entry is that one's, made to read its rows.

    Raises:
        ParamsError: not YAML, no such dataset or partition, or no such setting.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        content = yaml.load(text)
        datasets = content["datasets"]
        entry = datasets[dataset] if dataset in datasets else _entry_of(datasets, dataset)
        _override(entry, {k: v for k, v in (overrides or {}).items() if v is not None})
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ParamsError(
            f"the committed {PARAMS_FILE} has no dataset {dataset!r} that can be read;"
            " write it and commit it"
        ) from error
    for other in [name for name in datasets if name != dataset]:
        del datasets[other]
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def _entry_of(datasets: Any, name: str) -> Any:
    """The entry of a partition, put among the datasets.

    Raises:
        KeyError: there is no dataset that it could be a partition of.
        ParamsError: that one is partitioned otherwise, or not at all.
    """
    base, key = base_of(name), key_of(name)
    entry = datasets[base]
    given = entry.get("partition")
    if key is None or not given:
        raise ParamsError(
            f"expected datasets.{base} in {PARAMS_FILE} to say `partition:`, because {name!r} is a"
            " partition; write it and commit it"
        )
    try:
        partition = parse(key, str(given["by"]))
    except PartitionError as error:
        raise ParamsError(f"datasets.{base}.partition: {error}") from error
    del entry["partition"]
    entry["source"]["between"] = {
        "column": given["column"],
        "start": partition.start.isoformat(),
        "end": partition.end.isoformat(),
        "timezone": given.get("timezone", "UTC"),
    }
    about = entry["publish"]
    about["title"] = f"{about['title']}, {key}"
    about["description"] = (
        f"{about['description'].rstrip()}\n\nRows from {partition.start} to before {partition.end}."
    )
    datasets[name] = entry
    return entry


def _override(entry: Any, overrides: Mapping[str, Any]) -> None:
    another = overrides.get("generator", entry["generator"]) != entry["generator"]
    if another and "generator_params" not in overrides:
        overrides = {**overrides, "generator_params": {}}  # they are the other generator's
    for name, value in overrides.items():
        if name not in OVERRIDES:
            raise ParamsError(f"no setting {name!r}; a run may set: {', '.join(OVERRIDES)}")
        *parents, key = OVERRIDES[name]
        section = entry
        for parent in parents:
            section = section[parent]
        section[key] = value


def _write_record(place: Path, record: RunRecord) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / PARAMS_FILE).write_text(record.params, encoding="utf-8")
    # Last: it says that the rest is there.
    (place / "commit").write_text(record.commit, encoding="utf-8")


def _read_record(place: Path) -> RunRecord:
    lock = place / LOCK_FILE
    return RunRecord(
        commit=(place / "commit").read_text(encoding="utf-8"),
        params=(place / PARAMS_FILE).read_text(encoding="utf-8"),
        lock=lock.read_text(encoding="utf-8") if lock.exists() else "",
    )


def _is_open(place: Path, commit: str) -> bool:
    """Whether a worktree stands there whole; config.local is the last file that is written."""
    if not (place / ".dvc" / "config.local").exists():
        return False
    try:
        # Without a `.git` of its own, git would find the project's.
        found = git(place, "rev-parse", "--show-toplevel", "HEAD").splitlines()
        return found == [str(place.resolve()), commit]
    except WorkspaceError:
        return False


def _build(project: Path, place: Path, record: RunRecord, dataset: str) -> None:
    _remove(project, place)  # what a killed run left
    place.parent.mkdir(parents=True, exist_ok=True)
    # No hooks: `dvc install` and pre-commit hook into checkouts.
    add = ("worktree", "add", "--detach", str(place), record.commit)
    git(project, "-c", "core.hooksPath=/dev/null", *add)
    (place / PARAMS_FILE).write_text(record.params, encoding="utf-8")
    _write_lock(place, record.lock)
    _write_suites(place, dataset)
    settings = _dvc_settings(project, place)
    draft = place / ".dvc" / "config.draft"
    with draft.open("w", encoding="utf-8") as stream:
        settings.write(stream)
    draft.rename(place / ".dvc" / "config.local")


def _write_suites(place: Path, dataset: str) -> None:
    """The suites of a partition are those of the partitioned dataset."""
    if key_of(dataset) is None:
        return
    base, own = Layout(place, base_of(dataset)), Layout(place, dataset)
    for gate in get_args(Gate):
        if base.suite(gate).exists() and not own.suite(gate).exists():
            suite = json.loads(base.suite(gate).read_text(encoding="utf-8"))
            suite["name"] = own.suite(gate).stem
            text = json.dumps(suite, ensure_ascii=False, indent=1) + "\n"
            own.suite(gate).write_text(text, encoding="utf-8")


def _write_lock(place: Path, lock: str) -> None:
    (place / LOCK_FILE).unlink(missing_ok=True)
    if lock:
        (place / LOCK_FILE).write_text(lock, encoding="utf-8")


def _remove(project: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    git(project, "worktree", "prune")


def _dvc_settings(project: Path, place: Path) -> configparser.ConfigParser:
    """The project's DVC settings as a worktree needs them: one cache for all, paths absolute."""
    folder = project / ".dvc"
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.optionxform = str  # type: ignore[method-assign,assignment]
    settings.read_dict({"core": {}, "cache": {}})
    settings.read([folder / "config", folder / "config.local"], encoding="utf-8")
    for section in settings.sections():
        url = settings.get(section, "url", fallback="").strip("'\"")
        if url and "://" not in url and not Path(url).is_absolute():
            settings.set(section, "url", str((folder / url).resolve()))
    cache = settings.get("cache", "dir", fallback="cache").strip("'\"")
    settings.set("cache", "dir", str((folder / cache).resolve()))
    # DVC's databases about a worktree go when it goes; hints about `git add` are not for a run.
    settings.set("core", "site_cache_dir", str(place / ".dvc" / "tmp" / "site"))
    settings.set("core", "autostage", "true")
    return settings


def _record_of(project: Path, dataset: str, run_id: str) -> Path:
    return state_of(project) / "runs" / dataset / _slug(run_id)


def _slug(run_id: str) -> str:
    """A short folder name that is readable and different for each run."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", run_id)[:26].strip("-")
    return f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"
