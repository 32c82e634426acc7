"""Changes of the signing key: announced, vouched for, verified offline."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.commands.rotate_key import rotate_key
from tasks.errors import VerificationError, WorkspaceError
from tasks.publishing.attestation import ReleaseFacts, attest, read_attestation
from tasks.publishing.keys import fingerprint, public_pem, signing_key
from tasks.publishing.succession import is_announced, rotate, succession, vouches_for
from tasks.storage import write_json
from tests.copies import KEY

FACTS = ReleaseFacts("patients", "v3", "c" * 40, "d" * 32 + ".dir", "2026-11-21T02:00:00+00:00")


def test_who_trusts_the_first_key_can_check_what_the_third_one_signs(tmp_path: Path) -> None:
    first = signing_key(tmp_path).public_key()
    old, second = rotate(tmp_path, lost=False)
    _, third = rotate(tmp_path, lost=False)
    entries = succession(tmp_path)
    assert old == fingerprint(first)
    for signer in (old, second, third):
        assert vouches_for(first, entries, signer)
        assert is_announced(entries, old, signer)
    assert not vouches_for(signing_key(tmp_path).public_key(), entries, old)
    assert not is_announced(entries, third, second)
    assert not is_announced([], old, third)
    place = tmp_path / "keys" / "ed25519.pem"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert fingerprint(signing_key(tmp_path).public_key()) == third
    public = (tmp_path / "keys" / "ed25519.pub.pem").read_text()
    assert public == public_pem(signing_key(tmp_path).public_key())
    assert not (tmp_path / "keys" / "next.pem").exists()


def test_a_lost_key_vouches_for_nothing(tmp_path: Path) -> None:
    first = signing_key(tmp_path).public_key()
    old, new = rotate(tmp_path, lost=True)
    entries = succession(tmp_path)
    assert is_announced(entries, "of a state that is gone", new)
    assert not vouches_for(first, entries, new)
    assert vouches_for(first, entries, old)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_damaged_key_is_replaced_only_as_a_lost_one(tmp_path: Path, is_known: bool) -> None:
    first = fingerprint(signing_key(tmp_path).public_key())
    (tmp_path / "keys" / "ed25519.pem").write_text("-----BEGIN")
    if not is_known:
        (tmp_path / "keys" / "ed25519.pub.pem").unlink()
    with pytest.raises(WorkspaceError, match="rotate-key --lost"):
        rotate(tmp_path, lost=False)
    old, new = rotate(tmp_path, lost=True)
    assert old == (first if is_known else "unknown")
    assert fingerprint(signing_key(tmp_path).public_key()) == new
    assert is_announced(succession(tmp_path), first, new)


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry | {"signature": "AAAA"},
        lambda entry: entry | {"signature": 7},
        lambda entry: entry | {"key": public_pem(KEY.public_key())},
        lambda entry: entry | {"previous": "0" * 64},
        lambda _: {},
        lambda _: None,
    ],
)
def test_a_forged_succession_vouches_for_nothing(tmp_path: Path, change) -> None:
    first = signing_key(tmp_path).public_key()
    _, new = rotate(tmp_path, lost=False)
    forged = [change(entry) for entry in succession(tmp_path)]
    assert not vouches_for(first, forged, new)
    assert not vouches_for(first, forged, fingerprint(KEY.public_key()))
    assert not vouches_for(first, "nonsense", new)


def test_an_attestation_carries_the_succession(tmp_path: Path) -> None:
    first = signing_key(tmp_path).public_key()
    assert rotate_key_in(tmp_path) == 0
    evidence = tmp_path / "release" / "evidence"
    (evidence / "gates").mkdir(parents=True)
    write_json(evidence / "manifest.json", {})
    write_json(evidence / "params.json", {"thresholds": {}})
    write_json(evidence / "gates" / "release.json", {"passed": True})
    facts = replace(FACTS, key_succession=succession(tmp_path))
    attest(tmp_path / "release", tmp_path / "out.json", facts, signing_key(tmp_path))
    assert read_attestation(tmp_path / "out.json", first).facts["version"] == "v3"
    with pytest.raises(VerificationError, match="expected the signer"):
        read_attestation(tmp_path / "out.json", KEY.public_key())
    assert json.loads((tmp_path / "keys" / "succession.json").read_text())


def rotate_key_in(state: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROOFMINT_HOME", str(state))
        return rotate_key(state, lost=False)
