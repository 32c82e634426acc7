import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.approvals import Approval
from tasks.errors import NotApproved
from tasks.publishing.envelope import sign
from tasks.publishing.keys import signing_key
from tasks.publishing.signed_approvals import read_approval, sign_approval

APPROVAL = Approval(
    by="Ada", at="2026-03-07T10:00:00+00:00", digest="a" * 64, comment="", through="Airflow run r"
)
FORGED = APPROVAL.model_dump() | {"by": "The Board"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    signing_key(tmp_path)
    return tmp_path


def test_an_approval_comes_as_it_was_given(state: Path) -> None:
    assert read_approval(state, "d", sign_approval(state, "d", APPROVAL)) == APPROVAL


@pytest.mark.parametrize(
    "said", [None, 7, "", "{}", "\ud800", FORGED, json.dumps(FORGED), ["x"], {"approval": FORGED}]
)
def test_what_nobody_signed_is_no_approval(state: Path, said: Any) -> None:
    with pytest.raises(NotApproved, match="that this project's key has signed"):
        read_approval(state, "d", said)


def test_an_edited_approval_is_none(state: Path) -> None:
    envelope = json.loads(sign_approval(state, "d", APPROVAL))
    payload = base64.b64decode(envelope["payload"]).replace(b"Ada", b"Eve")
    envelope["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(NotApproved, match="its signature does not hold"):
        read_approval(state, "d", json.dumps(envelope, indent=1) + "\n")


def test_another_key_another_dataset_and_another_statement_are_none(
    state: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    with pytest.raises(NotApproved, match="expected the signer"):
        read_approval(state, "d", sign_approval(other, "d", APPROVAL))
    with pytest.raises(NotApproved, match="found another one's"):
        read_approval(state, "d", sign_approval(state, "e", APPROVAL))
    facts = {"dataset": "d", "approval": APPROVAL.model_dump()}
    release = sign("urn:proofmint:release:v1", APPROVAL.digest, facts, signing_key(state))
    with pytest.raises(NotApproved, match="not a statement about a release of the type"):
        read_approval(state, "d", release)
