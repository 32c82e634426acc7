"""`proofmint verify`: is this release, byte for byte, what its attestation says?"""

from collections.abc import Mapping
from pathlib import Path

from tasks.errors import VerificationError
from tasks.publishing.envelope import Signed
from tasks.publishing.notices import Notice
from tasks.publishing.verification import attestation_of, verify_release


def verify(release: Path, key: Path | None = None) -> int:
    """Check every digest and the signature of a release, offline, and say what was found.

    Args:
        release: the folder of a release.
        key: PEM file of the public key that must have signed.

    Raises:
        VerificationError: something is not as attested (the message names each file), or the
            release is whole but withdrawn.
    """
    verified = verify_release(release, key)
    if verified.withdrawn:
        raise VerificationError(_withdrawal(release, verified.withdrawn, verified.attestation))
    facts = verified.attestation.facts
    print(f"OK  {release}: {verified.n_files} files and the attestation are as signed")
    rows = {
        "dataset": f"{facts['dataset']} {facts['version']}",
        "verdict": "passed its release gate" if verified.verdict_passed else "REFUSED",
        "git commit": facts["git_commit"],
        "dvc revision": facts["dvc_revision"],
        "mlflow run": facts["mlflow_run"] or "none",
        "created at": facts["created_at"],
        "approved by": _approval(facts["approval"]),
        "signed by": f"sha256:{verified.attestation.fingerprint}",
        "attestation": str(attestation_of(release.resolve())),
    }
    for name, value in rows.items():
        print(f"    {name:<12}  {_shown(value)}")
    if key is None:
        print(
            "    The signer's identity was NOT checked: anyone can make a key. Compare the\n"
            "    fingerprint above with one that you trust, or give its public key with --key."
        )
    else:
        print(f"    The signer holds the key of {key}.")
    return 0


def _approval(approval: Mapping[str, str] | None) -> str:
    if approval is None:
        return "nobody was asked"
    told = f"{approval['by']} at {approval['at']}, through {approval['through']}"
    return f"{told}: {approval['comment']}" if approval["comment"] else told


def _withdrawal(release: Path, notice: Notice, attestation: Signed) -> str:
    same = notice.fingerprint == attestation.fingerprint
    signer = "the key that signed the release" if same else f"the key sha256:{notice.fingerprint}"
    return (
        f"WITHDRAWN  {release}: {_shown(attestation.facts['dataset'])} {_shown(notice.version)}"
        f" must no longer be used: {_shown(notice.reason)}\n"
        f"    withdrawn by {_shown(notice.by)} at {_shown(notice.at)}, signed by {signer}\n"
        "    All files are as signed. Take the version that stands, or ask those who publish it."
    )


def _shown(value: object) -> str:
    """Without --key the texts are whoever's: none may steer the terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(value))
