"""Finds the model that `train.init_from` names.

    digits@v3, releases/digits@v3     the model of that release, wherever its data is kept
    releases/digits                   that of the newest release
    digits, models/digits             what the dataset's training has made here, else the newest release
    some/folder                       a model, or the checkpoint of a training
    any of these#1f3a9c2b             the same, whose sha256 must begin so

The first and the last are the same for ever. Of the others, DVC cannot tell when they change: it
compares what params.yaml says, not what stands there. So they come with a warning that has the text
to write, `proofmint run` trains again where another model stands there now, and in the worktree of a
run, where DVC would take up what an earlier run has made, they are refused.
"""

import logging
import re
import tempfile
from pathlib import Path

import torch
import yaml

from tasks import versions
from tasks.errors import DataError, ParamsError, WorkspaceError
from tasks.generators.base import DataGenerator
from tasks.params import NAME_PATTERN, DatasetParams
from tasks.storage import digest, is_stored, read_json
from tasks.training.checkpoint import CHECKPOINT_FILE, Checkpoint
from tasks.training.model import MODEL_FILE, generator_class, load_model
from tasks.training.transfer import Origin, Parent
from tasks.versions import LOCK_FILE, Version
from tasks.workspace import Layout, dvc, project_of

PINNED_CHARS = 12
"""Of a sha256, in the text that a warning offers."""

_FORM = re.compile(r"(?P<place>.+?)(?P<version>@v[1-9][0-9]*)?(?:#(?P<sha256>[0-9a-f]{8,64}))?")

_log = logging.getLogger(__name__)


def find_parent(params: DatasetParams, root: Path) -> Parent | None:
    """The model that a dataset's training starts from; None: from random weights.

    Args:
        params: of the dataset.
        root: the project's folder or a worktree of it.

    Raises:
        ParamsError: there is no such model, it is another one than is asked for, or it may not be
            used here.
        WorkspaceError: git or DVC cannot give the model of a release.
        DataError: the model is damaged.
    """
    place = params.train.init_from
    if place is None:
        return None
    form = _FORM.fullmatch(place)
    if form is None:
        raise _unknown(place)
    cls = generator_class(params.kind, params.generator)
    name = re.sub(r"^(releases|models)/", "", form["place"])
    if form["version"]:
        parent = _of_release(place, _version(root, name, form["version"]), cls, root)
    elif (folder := _folder(form["place"], root)) is not None:
        parent = _of_folder(place, folder, cls)
    elif re.fullmatch(NAME_PATTERN, name) and (version := versions.standing(root, name)):
        parent = _of_release(place, version, cls, root)
        place = version.tag
    else:
        raise _unknown(place)
    _check_pin(parent, form["sha256"])
    if not form["version"] and not form["sha256"]:
        fixed = place if place != parent.place else f"{place}#{parent.sha256[:PINNED_CHARS]}"
        message = (
            f"train.init_from: another model at {parent.place} would not be noticed by DVC; write"
            f" {fixed} to name this one for good"
        )
        if root.resolve() != project_of(root).resolve():
            raise ParamsError(message)
        _log.warning("%s", message)
    return parent


def parent_has_changed(params: DatasetParams, at: Layout) -> bool:
    """Whether the model that stands there started from another one than `init_from` names now.

    Raises:
        ProofmintError: as `find_parent`.
    """
    if params.train.init_from is None or not is_stored(at.model / MODEL_FILE):
        return False
    began = read_json(at.model / MODEL_FILE)["training"].get("parent", {})
    if began.get("from") != params.train.init_from:
        return False  # another text, which DVC sees
    parent = find_parent(params, at.root)
    return parent is not None and parent.sha256 != began.get("sha256")


def _folder(place: str, root: Path) -> Path | None:
    """A folder with a model or a checkpoint; None: no folder is meant."""
    project = project_of(root)
    folders = [base / place for base in dict.fromkeys((root, project))]
    if not place.startswith("releases/"):
        name = place.removeprefix("models/")
        if re.fullmatch(NAME_PATTERN, name):
            folders += [Layout(base, name).model for base in dict.fromkeys((root, project))]
    for folder in folders:
        if is_stored(folder / MODEL_FILE) or is_stored(folder / CHECKPOINT_FILE):
            return folder
    return None


def _of_folder(place: str, folder: Path, cls: type[DataGenerator]) -> Parent:
    if is_stored(folder / MODEL_FILE):
        model = load_model(folder, torch.device("cpu"))
        weights = model.generator.state_dict()
        return Parent(place, digest(folder), type(model.generator), model.encoder, weights)
    if (saved := Checkpoint(folder).load()) is None:
        raise DataError(f"the checkpoint in {folder} is damaged: name another one in init_from")
    (path,) = folder.glob(f"{CHECKPOINT_FILE}*")
    return Origin.parent(place, digest(path), cls, *saved)


def _of_release(place: str, version: Version, cls: type[DataGenerator], root: Path) -> Parent:
    """The model that a release was drawn from: from DVC's cache, or else its remote."""
    project = project_of(root)
    where = Layout(Path(), version.dataset).model.as_posix()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "model"
        lock = yaml.safe_load(versions.read_at(project, version.commit, LOCK_FILE)) or {}
        outs = [out["path"] for stage in lock["stages"].values() for out in stage.get("outs", ())]
        if where not in outs:
            raise WorkspaceError(f"expected {where} in {LOCK_FILE} of {version.tag}, found none")
        dvc(project, "get", ".", where, "--rev", version.commit, "--out", str(out))
        return _of_folder(place, out, cls)


def _version(root: Path, name: str, wanted: str) -> Version:
    known = versions.versions(root, name) if re.fullmatch(NAME_PATTERN, name) else []
    for version in known:
        if version.tag == f"{name}{wanted}":
            return version
    raise ParamsError(
        f"train.init_from: expected a release {name}{wanted}, found"
        f" {', '.join(v.tag for v in known) or f'no release of {name!r}'}"
    )


def _check_pin(parent: Parent, wanted: str | None) -> None:
    if wanted and not parent.sha256.startswith(wanted):
        raise ParamsError(
            f"train.init_from: expected a model whose sha256 begins with {wanted}, found"
            f" {parent.sha256[: len(wanted)]}: another one stands there now; write that, or put the"
            " former one back"
        )


def _unknown(place: str) -> ParamsError:
    return ParamsError(
        f"train.init_from: no model at {place!r}: expected a release (digits@v3), a dataset of this"
        " project that was trained or released, or a folder with a model.json or a checkpoint"
    )
