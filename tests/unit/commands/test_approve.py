"""A release that needs a person's yes, at the terminal: real git, DVC and releases."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import approvals, versions
from tasks.approvals import Approval
from tasks.commands.approval_request import request_of
from tasks.commands.approve import approve
from tasks.commands.release import make_release
from tasks.commands.verify import verify
from tasks.commands.withdraw import withdraw
from tasks.errors import GateRefused, NotApproved, ParamsError, VerificationError
from tasks.publishing.attestation import ReleaseFacts, attest, read_attestation
from tasks.publishing.keys import signing_key
from tasks.workspace import dvc, git
from tests.made_up import DATASET, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has run, and whose first release nobody has approved."""
    root = make_project(tmp_path_factory.mktemp("approve") / "p", {"approval": "required"})
    dvc(root, "repro", "--quiet")
    return root


def say_yes(root: Path, digest: str | None, comment: str = "") -> int:
    return approve(root, DATASET, digest=digest, comment=comment, show=False)


def test_without_a_yes_nothing_is_released(project: Path) -> None:
    with pytest.raises(NotApproved, match=f"proofmint approve {DATASET}"):
        make_release(project, DATASET)
    assert versions.newest(project, DATASET) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"by": "me"}'])
def test_a_damaged_record_is_no_yes(tmp_path: Path, content: bytes) -> None:
    digest = "a" * 64
    place = tmp_path / "approvals" / DATASET / f"{digest}.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    with pytest.raises(NotApproved, match="remove it and approve anew"):
        approvals.find(tmp_path, DATASET, digest)


def test_the_evidence_is_shown_with_its_digest(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert approve(project, DATASET, digest=None, comment="", show=True) == 0
    shown = capsys.readouterr().out
    request = request_of(project, DATASET)
    assert request.pending
    assert request.digest in shown
    for told in (
        "2 of 2 thresholds met",
        "| synthetic | passed |",
        "Column shapes",
        "first version",
    ):
        assert told in shown
    left = json.loads((project / f".dvc/tmp/approval-{DATASET}.json").read_text())
    assert (left["digest"], left["pending"]) == (request.digest, True)


def test_what_is_no_yes_to_this_release_is_refused(project: Path) -> None:
    with pytest.raises(ParamsError, match="at least 8 letters"):
        say_yes(project, request_of(project, DATASET).digest[:7])
    with pytest.raises(NotApproved, match="has the digest"):
        say_yes(project, "0" * 64)
    with pytest.raises(ParamsError, match="expected a terminal"):
        say_yes(project, None)
    with pytest.raises(NotApproved):
        make_release(project, DATASET)


def test_a_person_types_the_digest_at_a_terminal(project: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks", "approve", DATASET, "--comment", "looks right"],
        cwd=project,
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{request_of(project, DATASET).digest[:8]}\n".encode())
    told, _ = process.communicate()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, told
    assert "approved by Ada Lovelace <ada@example.org>" in told


def test_the_attestation_names_who_approved(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = make_release(project, DATASET)
    assert (outcome.new, outcome.version.name) == (True, "v1")
    verify(project / "releases" / DATASET)
    shown = capsys.readouterr().out
    assert "Ada Lovelace <ada@example.org>" in shown
    assert "through proofmint approve: looks right" in shown


def test_what_is_released_needs_no_second_yes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not request_of(project, DATASET).pending
    assert say_yes(project, None) == 0
    assert "nothing to approve" in capsys.readouterr().out
    assert not make_release(project, DATASET).new


def test_another_release_is_asked_anew_with_what_has_changed(project: Path) -> None:
    params = project / "params.yaml"
    content = json.loads(params.read_text())
    content["datasets"][DATASET]["sample"] = {"rows": 41}
    params.write_text(json.dumps(content))
    git(project, "commit", "-qam", "one row more")
    dvc(project, "repro", "--quiet")
    with pytest.raises(NotApproved):
        make_release(project, DATASET)
    request = request_of(project, DATASET)
    assert request.pending
    assert "What has changed since v1" in request.body
    assert "| `sample.rows` | None | 41 |" in request.body
    assert versions.newest(project, DATASET) is not None


def test_the_first_yes_stays(tmp_path: Path) -> None:
    first, second = (
        Approval(by=by, at=approvals.now(), digest="a" * 64, comment="", through="test")
        for by in ("Ada", "Eve")
    )
    assert approvals.keep(tmp_path, DATASET, first) == first
    assert approvals.keep(tmp_path, DATASET, second) == first
    assert approvals.find(tmp_path, DATASET, "a" * 64) == first
    assert approvals.find(tmp_path, DATASET, "b" * 64) is None


def test_a_record_of_another_digest_is_no_approval(tmp_path: Path) -> None:
    said = Approval(by="Ada", at=approvals.now(), digest="a" * 64, comment="", through="test")
    approvals.keep(tmp_path, DATASET, said)
    folder = tmp_path / "approvals" / DATASET
    (folder / f"{'a' * 64}.json").rename(folder / f"{'b' * 64}.json")
    with pytest.raises(NotApproved, match="approves the digest"):
        approvals.find(tmp_path, DATASET, "b" * 64)
    (folder / f"{'b' * 64}.json").write_text("{}")
    with pytest.raises(NotApproved, match="is no approval"):
        approvals.find(tmp_path, DATASET, "b" * 64)


def test_an_attestation_with_a_yes_to_another_release_is_refused(
    project: Path, tmp_path: Path
) -> None:
    said = Approval(by="Ada", at=approvals.now(), digest="a" * 64, comment="", through="test")
    facts = ReleaseFacts(DATASET, "v9", "0" * 40, "0", approvals.now(), approval=said)
    place = tmp_path / "attestation.json"
    attest(project / "releases" / DATASET, place, facts, signing_key(tmp_path))
    with pytest.raises(VerificationError, match="not a statement about a release"):
        read_attestation(place, None)


def test_what_was_withdrawn_is_not_asked_about(project: Path) -> None:
    say_yes(project, request_of(project, DATASET).digest)
    assert make_release(project, DATASET).version.name == "v2"
    withdraw(project, DATASET, "v2", "It was wrong.")
    with pytest.raises(GateRefused, match="byte for byte v2"):
        say_yes(project, None)
