"""`proofmint rotate-key`: sign with a new key from now on."""

from pathlib import Path

from tasks.publishing.keys import PUBLIC_KEY_FILE
from tasks.publishing.succession import rotate
from tasks.workspace import locked, state_of


def rotate_key(project: Path, *, lost: bool) -> int:
    """Make a new signing key; the old one vouches for it, unless it is lost or stolen.

    Raises:
        WorkspaceError: the present key cannot be read.
    """
    state = state_of(project)
    with locked(state / "locks" / "signing-key"):
        old, new = rotate(state, lost=lost)
    print(f"releases are signed by sha256:{new} from now on; give out {state / PUBLIC_KEY_FILE}")
    if lost:
        print(f"sha256:{old} vouches for nothing any more: tell those who trust it, by other means")
    else:
        print(f"who trusts sha256:{old} can go on: it has signed the new key")
    return 0
