import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.commands.verify import verify
from tasks.errors import VerificationError
from tasks.publishing.attestation import ReleaseFacts, attest
from tasks.publishing.keys import fingerprint, public_pem
from tasks.publishing.manifest import MANIFEST_FILE
from tasks.stages.publish import publish
from tasks.storage import read_json, write_json
from tests.releases import tabular_inputs

KEY = Ed25519PrivateKey.generate()
FACTS = ReleaseFacts(
    dataset="patients",
    version="v1",
    git_commit="c" * 40,
    dvc_revision="d" * 32,
    created_at="2026-11-21T02:00:00+00:00",
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = tabular_inputs(tmp_path_factory.mktemp("published"), n_rows=30)
    publish(case.at, case.params)
    attest(case.at.release, case.at.attestation, FACTS, KEY)
    return case.at.release.parent


@pytest.fixture
def release(published: Path, tmp_path: Path) -> Path:
    shutil.copytree(published, tmp_path / "releases")
    return tmp_path / "releases" / "patients"


def test_an_untouched_release_is_verified(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(release) == 0
    said = capsys.readouterr().out
    assert "OK" in said
    assert "patients v1" in said
    assert "c" * 40 in said
    assert fingerprint(KEY.public_key()) in said
    assert "identity was NOT checked" in said


def test_with_the_right_key_the_signer_is_known(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key.pem").write_text(public_pem(KEY.public_key()))
    assert verify(release, tmp_path / "key.pem") == 0
    assert "NOT checked" not in capsys.readouterr().out


def test_with_another_key_it_fails(release: Path, tmp_path: Path) -> None:
    other = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "key.pem").write_text(public_pem(other))
    with pytest.raises(VerificationError, match="expected the signer"):
        verify(release, tmp_path / "key.pem")


def test_one_changed_byte_of_any_file_fails_and_names_the_file(release: Path) -> None:
    files = [path for path in sorted(release.rglob("*")) if path.is_file()]
    assert len(files) > 12
    for path in files:
        original = path.read_bytes()
        for place in {0, len(original) // 2, len(original) - 1}:
            changed = bytearray(original)
            changed[place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(VerificationError, match=path.relative_to(release).as_posix()):
                verify(release)
        path.write_bytes(original)
    assert verify(release) == 0


def test_every_bad_file_is_named(release: Path) -> None:
    (release / "README.md").write_text("changed")
    (release / "report.html").unlink()
    (release / "stranger.txt").write_text("")
    with pytest.raises(VerificationError) as caught:
        verify(release)
    for name in ("README.md: changed", "report.html: missing", "stranger.txt: not in the manifest"):
        assert name in str(caught.value)


def test_a_manifest_that_was_made_to_fit_is_not_the_one_attested(release: Path) -> None:
    (release / "README.md").unlink()
    content = read_json(release / MANIFEST_FILE)
    content["files"] = [file for file in content["files"] if file["path"] != "README.md"]
    write_json(release / MANIFEST_FILE, content)
    with pytest.raises(VerificationError, match="not what was attested"):
        verify(release)


def test_a_signed_path_out_of_the_release_is_refused(release: Path) -> None:
    content = read_json(release / MANIFEST_FILE)
    content["files"][0]["path"] = "../../secret"
    write_json(release / MANIFEST_FILE, content)
    attest(release, release.parent / "patients.attestation.json", FACTS, KEY)
    with pytest.raises(VerificationError, match="path inside the release"):
        verify(release)


def test_an_attestation_of_another_dataset_is_refused(release: Path) -> None:
    renamed = ReleaseFacts(**{**vars(FACTS), "dataset": "clients"})
    attest(release, release.parent / "patients.attestation.json", renamed, KEY)
    with pytest.raises(VerificationError, match="about 'clients', not 'patients'"):
        verify(release)


def test_a_manifest_behind_a_link_is_refused(release: Path, tmp_path: Path) -> None:
    (release / MANIFEST_FILE).rename(tmp_path / "manifest.json")
    (release / MANIFEST_FILE).symlink_to(tmp_path / "manifest.json")
    with pytest.raises(VerificationError, match="a link"):
        verify(release)


def test_without_an_attestation_it_says_how_to_get_one(release: Path) -> None:
    (release.parent / "patients.attestation.json").unlink()
    with pytest.raises(VerificationError, match="proofmint release patients"):
        verify(release)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="nothing"):
        verify(tmp_path / "nothing")


def test_texts_of_a_stranger_cannot_steer_the_terminal(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = ReleaseFacts(**{**vars(FACTS), "git_commit": "\x1b[2J\nOK"})
    attest(release, release.parent / "patients.attestation.json", facts, KEY)
    assert verify(release) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_envelope_is_dsse_and_the_statement_in_toto(release: Path) -> None:
    envelope = json.loads((release.parent / "patients.attestation.json").read_text())
    assert set(envelope) == {"payloadType", "payload", "signatures"}
