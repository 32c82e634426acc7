"""`proofmint verify`: is this release, byte for byte, what its attestation says?"""

from collections.abc import Mapping
from pathlib import Path

from tasks.publishing.verification import attestation_of, verify_release


def verify(release: Path, key: Path | None = None) -> int:
    """Check every digest and the signature of a release, offline, and say what was found.

    Args:
        release: the folder of a release.
        key: PEM file of the public key that must have signed.

    Raises:
        VerificationError: something is not as attested; the message names each file.
    """
    verified = verify_release(release, key)
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
        # Without --key these texts are whoever's: none may steer the terminal.
        shown = "".join(c if c.isprintable() else "?" for c in str(value))
        print(f"    {name:<12}  {shown}")
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
