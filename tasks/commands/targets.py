"""`proofmint targets NAME`: what each target of a dataset holds; and bringing them to git's state."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from tasks import versions
from tasks.commands.releases import print_table
from tasks.errors import ParamsError, WorkspaceError
from tasks.operation import TargetParams
from tasks.params import PARAMS_FILE, PublishParams, load_dataset
from tasks.partitions import base_of, run_again
from tasks.publishing import delivery
from tasks.publishing.copies import copy_of
from tasks.publishing.delivery import Plan, targets_of, to_all
from tasks.publishing.targets.base import Copy, Target
from tasks.versions import Version
from tasks.workspace import locked, state_of


def targets(project: Path, dataset: str) -> int:
    """Print what each target of a dataset holds and shows its readers.

    Raises:
        WorkspaceError: a target did not answer; the others are shown.
    """
    marks = {v.number: "" if v.withdrawn is None else " withdrawn" for v in _all(project, dataset)}
    rows, faults = [], []
    for target in known_targets(project, dataset):
        try:
            held, now = sorted(target.held()), target.current()
        except (WorkspaceError, OSError) as error:
            faults.append(f"{target.place}: {error}")
            continue
        names = [f"v{n}{marks.get(n, ' unknown')}" for n in held]
        rows.append((target.place, f"v{now}" if now else "none", ", ".join(names) or "none"))
    if rows:
        print_table(("target", "current", "held"), rows)
    if faults:
        raise WorkspaceError("\n  ".join(["these targets did not answer:", *faults]))
    if not rows:
        print(f"{dataset} has no targets; name some under publish.to in {PARAMS_FILE}")
    return 0


def deliver(project: Path, dataset: str, places: Sequence[Target], keep: int | None) -> None:
    """Bring the targets of a dataset to what git says of its versions.

    Args:
        project: the project's own folder.
        dataset: which one.
        places: the targets.
        keep: how many standing versions stay there; None: all.

    Raises:
        TargetUnavailable: a target did not answer; the others are done.
        WorkspaceError: a target refused; the others are done.
    """
    if places:
        with _plan(project, dataset, keep) as plan:
            to_all(dict.fromkeys(places, delivery.deliver), plan, again=run_again(dataset))


def bring_up_to_date(project: Path, dataset: str, again: str) -> None:
    """`deliver` as params.yaml says now; places that it named once are only marked.

    So a copy at a place that is no longer published to is still found, and marked if withdrawn.

    Args:
        project: the project's own folder.
        dataset: which one.
        again: the command that tries it again.

    Raises:
        TargetUnavailable: a target did not answer; the others are done.
        WorkspaceError: a target refused; the others are done.
    """
    publish = _params_now(project, dataset)
    places = known_targets(project, dataset)
    with _plan(project, dataset, publish.keep if publish else None) as plan:
        now = places[: len(publish.to)] if publish else []
        steps = dict.fromkeys(places, delivery.mark) | dict.fromkeys(now, delivery.deliver)
        to_all(steps, plan, again)


def known_targets(project: Path, dataset: str) -> list[Target]:
    """The targets that params.yaml names now, and then those that it named at any version."""
    publish = _params_now(project, dataset)
    now = targets_of(publish.to if publish else [], dataset, project, f"{dataset}: publish.to")
    known = {target.place: target for target in now}
    for version in reversed(_all(project, dataset)):
        settings = yaml.safe_load(versions.read_at(project, version.commit, PARAMS_FILE))
        for entry in settings["datasets"][dataset]["publish"].get("to", []):
            then = [TargetParams.model_validate(entry)]
            (target,) = targets_of(then, dataset, project, f"{version.tag}: publish.to")
            known.setdefault(target.place, target)
    return list(known.values())


@contextlib.contextmanager
def _plan(project: Path, dataset: str, keep: int | None) -> Iterator[Plan]:
    """What the targets are to agree with, while nobody releases anything."""
    with (
        locked(state_of(project) / "locks" / f"release-{dataset}"),
        contextlib.ExitStack() as stack,
    ):

        @functools.cache
        def copy(version: Version) -> Copy:
            return stack.enter_context(copy_of(project, version))

        yield Plan(_all(project, dataset), keep, copy)


def _params_now(project: Path, dataset: str) -> PublishParams | None:
    try:
        return load_dataset(project / PARAMS_FILE, base_of(dataset)).publish
    except ParamsError:
        return None  # the dataset is no longer made; its versions are still there


def _all(project: Path, dataset: str) -> list[Version]:
    found = versions.versions(project, dataset)
    if not found:
        raise WorkspaceError(f"{dataset} has no releases; `proofmint releases` lists what there is")
    return found
