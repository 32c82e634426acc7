"""Who said yes to a release: a record for each digest that a person has approved.

    .proofmint/approvals/adult/<sha256 of the manifest>.json

The digest stands for every byte of the release, so a record never holds for another one: what a
run makes after the question is asked anew. `release` reads the record and binds it into the
attestation.
"""

import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import DataError, NotApproved
from tasks.storage import read_json, write_json


class Approval(BaseModel):
    """A person's yes to the release with one digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    by: str = Field(min_length=1, description="the person, as git or Airflow knows them")
    at: str = Field(min_length=1, description="when: ISO 8601 with a time zone")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="sha256 of the release's manifest")
    comment: str = Field(description="what they had to say; may be empty")
    through: str = Field(
        min_length=1, description="the door: `proofmint approve` or an Airflow run"
    )


def now() -> str:
    """This moment, as an approval tells it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def keep(state: Path, dataset: str, approval: Approval) -> Approval:
    """Keep an approval, and return the one that counts: whoever was first stays.

    Args:
        state: the project's folder of state.
        dataset: whose release it is.
        approval: what was said.
    """
    earlier = find(state, dataset, approval.digest)
    if earlier is not None:
        return earlier
    place = _place(state, dataset, approval.digest)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(place, approval.model_dump())
    return approval


def find(state: Path, dataset: str, digest: str) -> Approval | None:
    """The approval of the release with this digest; None: nobody has said yes.

    Raises:
        NotApproved: there is a record, but it is no approval of that digest.
    """
    place = _place(state, dataset, digest)
    if not place.exists():
        return None
    try:
        found = Approval.model_validate(read_json(place))
    except (ValidationError, DataError) as error:
        raise NotApproved(f"{place} is no approval; remove it and approve anew: {error}") from error
    if found.digest != digest:
        raise NotApproved(
            f"{place} approves the digest {found.digest}, not {digest}; remove it and approve anew"
        )
    return found


def _place(state: Path, dataset: str, digest: str) -> Path:
    return state / "approvals" / dataset / f"{digest}.json"
