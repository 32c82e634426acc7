"""Every publishing target, held to its contract: real folders, a real PostgreSQL, a served S3 API."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from tasks import registry
from tasks.errors import ParamsError, WorkspaceError
from tasks.operation import TargetParams
from tasks.publishing.delivery import PACKAGE, Plan, deliver, mark, targets_of
from tasks.publishing.targets.base import Copy, Target
from tasks.versions import Version
from tests.copies import made, plan


@pytest.fixture(params=registry.names(PACKAGE))
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Target:
    """A target with nothing in it."""
    settings: dict[str, Any] = {"path": str(tmp_path / "there")}
    if request.param == "s3":
        bucket = request.getfixturevalue("bucket")
        settings = {"url": f"{bucket}/releases", "connection": "bucket"}
    if request.param == "postgres":
        monkeypatch.setenv("WAREHOUSE", request.getfixturevalue("database"))
        settings = {"connection": "WAREHOUSE"}
    return made(request.param, tmp_path, **settings)


def never(version: Version) -> Copy:
    raise AssertionError(f"{version.name} was copied again")


def test_a_target_follows_what_git_says(target: Target, copies: list[Copy]) -> None:
    assert (target.held(), target.current()) == ({}, None)
    assert deliver(target, plan(copies[:1])) == "v1 is current"
    assert deliver(target, plan(copies)) == "v3 is current"
    assert (set(target.held()), target.current()) == ({1, 3}, 3)
    assert target.held()[3] == copies[2].version.digest


def test_the_same_again_copies_nothing(target: Target, copies: list[Copy]) -> None:
    deliver(target, plan(copies))
    again = dataclasses.replace(plan(copies), copy=never)
    assert deliver(target, again) == "v3 is current, as it was"


def test_what_is_not_whole_is_not_current_and_is_finished_later(
    target: Target, copies: list[Copy]
) -> None:
    deliver(target, plan(copies[:1]))
    target.put(copies[1])  # and then the power went
    assert set(target.held()) == {1, 2}
    assert target.current() == 1
    assert deliver(target, plan(copies[:2])) == "v2 is current"


def test_a_withdrawn_version_gives_way_to_the_one_before(
    target: Target, copies: list[Copy]
) -> None:
    for n in (1, 2, 3):
        deliver(target, plan(copies[:n]))
    again = dataclasses.replace(plan(copies, 3), copy=never)
    assert deliver(target, again) == "v2 is current"
    assert deliver(target, again) == "v2 is current, as it was"
    assert deliver(target, plan(copies, 1, 2, 3)) == "no version stands"
    assert target.current() is None
    assert mark(target, plan(copies, 1, 2, 3)) == "nothing is current"


def test_the_version_before_is_brought_where_it_is_not_held(
    target: Target, copies: list[Copy]
) -> None:
    deliver(target, plan(copies))
    assert deliver(target, plan(copies, 3)) == "v2 is current"


def test_retention_drops_the_oldest_and_never_what_is_current(
    target: Target, copies: list[Copy]
) -> None:
    for n in (1, 2, 3):
        deliver(target, plan(copies[:n], keep=2))
    assert set(target.held()) == {2, 3}
    deliver(target, plan(copies, 3, keep=1))
    assert target.current() == 2


def test_retention_drops_what_was_withdrawn_too(target: Target, copies: list[Copy]) -> None:
    deliver(target, plan(copies[:1]))
    deliver(target, plan(copies[:2], 1, keep=1))
    assert (set(target.held()), target.current()) == ({2}, 2)
    deliver(target, plan(copies, 1, keep=1))
    assert (set(target.held()), target.current()) == ({3}, 3)


def test_other_bytes_under_the_same_number_are_not_touched(
    target: Target, copies: list[Copy]
) -> None:
    deliver(target, plan(copies[:1]))
    other = dataclasses.replace(copies[0].version, digest="0" * 64)
    with pytest.raises(WorkspaceError, match="two projects share this place"):
        deliver(target, Plan([other], None, never))
    assert target.current() == 1


def test_a_project_that_knows_less_leaves_what_is_newer(target: Target, copies: list[Copy]) -> None:
    deliver(target, plan(copies))
    assert "v3 is newer" in deliver(target, Plan([copies[0].version], None, never))
    assert target.current() == 3


def test_a_project_that_knows_less_marks_what_it_withdraws(
    target: Target, copies: list[Copy]
) -> None:
    deliver(target, plan(copies[:1]))
    deliver(target, plan(copies[:2]))
    assert "v2 is newer" in deliver(target, plan(copies[:1], 1))
    assert (target.withdrawn(), target.current()) == ({1}, 2)


def test_a_project_that_knows_less_does_not_undo_a_withdrawal(
    target: Target, copies: list[Copy]
) -> None:
    for n in (1, 2):
        deliver(target, plan(copies[:n]))
    deliver(target, plan(copies[:2], 2))
    assert (target.withdrawn(), target.current()) == ({2}, 1)
    with pytest.raises(WorkspaceError, match="v2 was withdrawn there"):
        deliver(target, plan(copies[:2]))
    assert (target.withdrawn(), target.current()) == ({2}, 1)
    assert mark(target, plan(copies[:2])) == "v1 is current"
    assert deliver(target, plan(copies)) == "v3 is current"  # what stands is not held up


@pytest.mark.parametrize("kind", ["folder", "delta", "huggingface"])
@pytest.mark.parametrize("path", ["releases", "./data/../releases/", ".git", "~nobody-here/x"])
def test_copies_need_a_folder_of_their_own(kind: str, path: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=rf"{kind}\)\.path: .*found '{re.escape(path)}'"):
        made(kind, tmp_path, path=path)


def test_two_targets_are_two_places(tmp_path: Path) -> None:
    entries = [
        TargetParams.model_validate({"type": kind, "path": str(tmp_path / place)})
        for kind, place in (("folder", "there"), ("huggingface", "x/../there"))
    ]
    with pytest.raises(ParamsError, match=r"to\.1 \(huggingface\): expected a place of its own"):
        targets_of(entries, "patients", tmp_path, "to")


@pytest.mark.parametrize("kind", registry.names(PACKAGE))
def test_a_wrong_setting_is_named_before_anything_is_done(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=rf"publish\.to\.0 \({kind}\)[^$]*colour: unknown key"):
        made(kind, tmp_path, colour="red")
