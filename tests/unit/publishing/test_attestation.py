import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.errors import DataError, VerificationError, WorkspaceError
from tasks.publishing.attestation import (
    ReleaseFacts,
    attest,
    read_attestation,
)
from tasks.publishing.envelope import pre_authentication_encoding
from tasks.publishing.keys import fingerprint, public_pem, signing_key
from tasks.storage import write_json

FACTS = ReleaseFacts(
    dataset="patients",
    version="v3",
    git_commit="c" * 40,
    dvc_revision="d" * 32 + ".dir",
    created_at="2026-11-21T02:00:00+00:00",
    mlflow_run="e" * 32,
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "patients"
    (folder / "evidence" / "gates").mkdir(parents=True)
    write_json(folder / "evidence" / "manifest.json", {"dataset": "patients"})
    write_json(folder / "evidence" / "params.json", {"thresholds": {"shape_error": {}}})
    write_json(folder / "evidence" / "gates" / "release.json", {"passed": True})
    return folder


def test_the_guarantee_of_differential_privacy_is_signed(release: Path, tmp_path: Path) -> None:
    privacy = {"epsilon": 2.99, "delta": 1e-5, "accountant": "prv"}
    write_json(release / "evidence" / "model.json", {"training": {"privacy": privacy}})
    key = Ed25519PrivateKey.generate()
    attest(release, tmp_path / "out.json", FACTS, key)
    assert read_attestation(tmp_path / "out.json", key.public_key()).facts["privacy"] == privacy


def test_what_is_signed_is_the_example_of_the_dsse_specification() -> None:
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_an_attestation_says_what_it_was_told_and_who_signed(release: Path, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    attest(release, tmp_path / "out.json", FACTS, key)
    found = read_attestation(tmp_path / "out.json", key.public_key())
    assert found.fingerprint == fingerprint(key.public_key())
    assert {**found.facts, "public_key": ""} == {
        **vars(FACTS),
        "public_key": "",
        "key_succession": [],
        "thresholds": {"shape_error": {}},
        "privacy": None,
        "verdict_sha256": found.facts["verdict_sha256"],
    }
    envelope = json.loads((tmp_path / "out.json").read_text())
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert envelope["signatures"][0]["keyid"] == found.fingerprint


def test_another_key_than_the_expected_one_is_refused(release: Path, tmp_path: Path) -> None:
    attest(release, tmp_path / "out.json", FACTS, Ed25519PrivateKey.generate())
    with pytest.raises(VerificationError, match="expected the signer"):
        read_attestation(tmp_path / "out.json", Ed25519PrivateKey.generate().public_key())


def test_no_bit_of_an_attestation_may_change(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    attest(release, out, FACTS, Ed25519PrivateKey.generate())
    original = out.read_bytes()
    for place in range(len(original)):
        changed = bytearray(original)
        changed[place] ^= 1 << (place % 8)
        out.write_bytes(changed)
        with pytest.raises(VerificationError, match=r"out\.json"):
            read_attestation(out, None)


@pytest.mark.parametrize("addition", [b" ", b"\n", b"\0"])
def test_nothing_may_be_added_to_an_attestation(
    release: Path, tmp_path: Path, addition: bytes
) -> None:
    out = tmp_path / "out.json"
    attest(release, out, FACTS, Ed25519PrivateKey.generate())
    out.write_bytes(out.read_bytes() + addition)
    with pytest.raises(VerificationError, match=r"out\.json"):
        read_attestation(out, None)


def test_a_folder_without_a_manifest_cannot_be_attested(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no manifest\.json"):
        attest(tmp_path, tmp_path / "out.json", FACTS, Ed25519PrivateKey.generate())


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first, second = signing_key(tmp_path), signing_key(tmp_path)
    assert fingerprint(first.public_key()) == fingerprint(second.public_key())
    assert stat.S_IMODE((tmp_path / "keys" / "ed25519.pem").stat().st_mode) == 0o600
    assert (tmp_path / "keys" / "ed25519.pub.pem").read_text() == public_pem(first.public_key())
    assert len(list((tmp_path / "keys").iterdir())) == 2


@pytest.mark.parametrize("content", ["", "no key", "rsa"])
def test_a_file_that_holds_no_ed25519_key_is_named(tmp_path: Path, content: str) -> None:
    place = tmp_path / "keys" / "ed25519.pem"
    place.parent.mkdir()
    if content == "rsa":
        content = (
            rsa.generate_private_key(65537, 2048)
            .private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            .decode()
        )
    place.write_text(content)
    with pytest.raises(WorkspaceError, match=r"ed25519\.pem"):
        signing_key(tmp_path)
