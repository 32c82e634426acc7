"""Bringing the targets of a dataset to where its versions are in git.

Git says which versions there are and which are withdrawn; a target is made to agree: notices
beside withdrawn copies, the newest standing version held whole and current, copies beyond
retention dropped. The steps are the same after a release, after a withdrawal and after anything
that was interrupted, so doing it again is always safe and finishes what was begun.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks import registry
from tasks.errors import ParamsError, ProofmintError, TargetUnavailable, WorkspaceError
from tasks.operation import TargetParams
from tasks.publishing.targets.base import Copy, Target
from tasks.versions import Version

PACKAGE = "tasks.publishing.targets"


@dataclass(frozen=True)
class Plan:
    """What all targets of a dataset are to agree with."""

    versions: Sequence[Version]
    """All of them, oldest first."""
    keep: int | None
    """How many standing versions stay at a target; None: all."""
    copy: Callable[[Version], Copy]
    """Gives the bytes of a version; called only where a target has to be given them."""

    @property
    def standing(self) -> Version | None:
        """The newest version that is not withdrawn; None: there is none."""
        return next((v for v in reversed(self.versions) if v.withdrawn is None), None)

    @property
    def kept(self) -> set[int]:
        """Numbers of the standing versions that retention keeps."""
        standing = [v.number for v in self.versions if v.withdrawn is None]
        return set(standing if self.keep is None else standing[-self.keep :])


def targets_of(
    params: Sequence[TargetParams], dataset: str, project: Path, where: str
) -> list[Target]:
    """The targets that a dataset's settings name; nothing is connected to.

    Raises:
        ParamsError: there is no such target, a setting of it is wrong, or two are the same place.
    """
    targets: dict[str, Target] = {}
    for i, entry in enumerate(params):
        cls = registry.load(PACKAGE, entry.type, Target)  # type: ignore[type-abstract]
        name = f"{where}.{i} ({entry.type})"
        target = cls(entry.settings, dataset=dataset, project=project, where=name)
        if target.place in targets:
            raise ParamsError(f"{name}: expected a place of its own; another has {target.place}")
        targets[target.place] = target
    return list(targets.values())


def to_all(
    steps: Mapping[Target, Callable[[Target, Plan], str]],
    plan: Plan,
    again: str,
    report: Callable[[str], object] = print,
) -> None:
    """Do a step, `deliver` or `mark`, at every target; one that fails does not stop the others.

    Args:
        steps: what to do at each target of one dataset.
        plan: what they are to agree with.
        again: the command that tries it again.
        report: gets a line for each that is done.

    Raises:
        TargetUnavailable: some failed, and one of the faults may pass.
        WorkspaceError: some failed, and doing it again will not help.
    """

    def at(target: Target) -> None:
        try:
            done = steps[target](target, plan)
        except ProofmintError as error:
            kind = TargetUnavailable if error.retryable else WorkspaceError
            raise kind(f"{target.place}: {error}") from error
        except OSError as error:
            told = f"{target.place}: {type(error).__name__}: {error}"
            raise TargetUnavailable(told) from error
        report(f"{target.dataset}: {target.place}: {done}")

    if faults := each(functools.partial(at, target) for target in steps):
        n = f"{len(faults)} of {len(steps)} targets failed"
        head = f"{plan.versions[-1].dataset}: {n}; the others are done, and `{again}` tries again:"
        passing = any(error.retryable for error in faults)
        message = "\n  ".join([head, *map(str, faults)])
        raise (TargetUnavailable if passing else WorkspaceError)(message)


def each(steps: Iterable[Callable[[], None]]) -> list[ProofmintError]:
    """Take steps, none of which is kept from being taken by the fault of another; return the faults.

    One that no message of ours tells of is raised at the end.
    """
    faults: list[ProofmintError] = []
    unexpected: Exception | None = None
    for step in steps:
        try:
            step()
        except ProofmintError as error:
            faults.append(error)
        except Exception as error:
            unexpected = unexpected or error
    if unexpected is not None:
        raise unexpected
    return faults


def deliver(target: Target, plan: Plan) -> str:
    """Bring one target to the plan.

    Returns:
        What readers are shown there now, in words.

    Raises:
        WorkspaceError: the target holds other bytes under a number of ours, or refused.
        TargetUnavailable: it did not answer.
    """
    held, before = target.held(), target.current()
    _refuse_foreign(plan, held)
    unknown = _unknown(target, plan)
    now = _withdraw(target, plan, held, before, unknown)
    if now is not None and now > plan.versions[-1].number:
        return f"v{now} is newer than all that this project knows; it stays current"
    version = plan.standing
    if version is None:
        if now is not None:
            target.point(None)
        return "no version stands"
    if version.number in unknown:
        raise WorkspaceError(
            f"{version.name} was withdrawn there, which git here does not know: this project is older"
            " than that (a restored backup, a clone that has not fetched). Fetch the tag"
            f" withdrawn/{version.tag} from where that was done, or, if it is lost, say it again:"
            f" proofmint withdraw {version.dataset} {version.name}"
        )
    if version.number not in held:
        target.put(plan.copy(version))
    standing = {v.number for v in plan.versions if v.withdrawn is None}
    target.share(standing - unknown)
    if now != version.number:
        target.point(version.number)
    _drop(target, plan, held)
    return f"{version.name} is current" + (", as it was" if before == version.number else "")


def mark(target: Target, plan: Plan) -> str:
    """Mark what is withdrawn at a place that is no longer published to, and bring nothing there.

    Returns:
        What readers are shown there now, in words.

    Raises:
        WorkspaceError: the target holds other bytes under a number of ours, or refused.
        TargetUnavailable: it did not answer.
    """
    held = target.held()
    _refuse_foreign(plan, held)
    now = _withdraw(target, plan, held, target.current(), _unknown(target, plan))
    return "nothing is current" if now is None else f"v{now} is current"


def _refuse_foreign(plan: Plan, held: dict[int, str]) -> None:
    for version in plan.versions:
        there = held.get(version.number, version.digest)
        if there != version.digest:
            raise WorkspaceError(
                f"holds another {version.name} of {version.dataset!r} (manifest {there[:12]}…, ours"
                f" is {version.digest[:12]}…): two projects share this place; give one of them"
                " another"
            )


def _unknown(target: Target, plan: Plan) -> set[int]:
    """What is withdrawn there and stands in git: this project is behind, and must not undo it."""
    return target.withdrawn() - {v.number for v in plan.versions if v.withdrawn is not None}


def _withdraw(
    target: Target, plan: Plan, held: dict[int, str], now: int | None, unknown: set[int]
) -> int | None:
    """Mark withdrawn copies, and show none of them any longer; return what is current then."""
    withdrawn = {v.number: v for v in plan.versions if v.withdrawn is not None}
    if now in withdrawn or now in unknown:  # first: what replaces it may take long to copy
        now = max((n for n in held if n in plan.kept - unknown), default=None)
        target.point(now)
    for number in sorted(withdrawn.keys() & held.keys()):
        target.withdraw(withdrawn[number])
    return now


def _drop(target: Target, plan: Plan, held: dict[int, str]) -> None:
    """Drop what is older than the oldest version that retention keeps."""
    if plan.keep is not None:
        for number in sorted(n for n in held if n < min(plan.kept)):
            target.drop(number)
