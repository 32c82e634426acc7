"""What is done with a dataset around its pipeline: partitions, approval, access, alerts, targets.

None of it decides a byte of a release: it is left out of the evidence, so that another address for
alerts is no new version. Secrets never stand here: `connection` names an environment variable or
an Airflow connection.
"""

from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ConnectionName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError("expected the name of a time zone, such as Europe/Berlin") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


class Record(BaseModel):
    """A frozen group of settings that refuses unknown keys and does not guess types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TargetParams(BaseModel):
    """A place where releases go; every other key is a setting of the target named by `type`."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    type: str = Field(description="a file of tasks/publishing/targets: folder, s3, postgres …")

    @property
    def settings(self) -> dict[str, Any]:
        """The keys beside `type`, checked by the target itself."""
        return dict(self.__pydantic_extra__ or {})


class AccessParams(Record):
    roles: list[str] | None = Field(
        default=None,
        description="Airflow roles that see the dataset's DAG, releases and reports, beside those"
        " that may read every DAG; []: none; null: as Airflow's own administration says",
    )
    operators: list[str] = Field(
        default=[], description="Airflow roles that see it and may start its runs, too"
    )

    @model_validator(mode="after")
    def _says_who_sees(self) -> Self:
        if self.operators and self.roles is None:
            raise ValueError("operators need roles; write `roles: []` where nobody else sees it")
        return self


class PartitionParams(Record):
    column: str = Field(
        min_length=1, description="of dates or timestamps, in the source's one table"
    )
    by: Literal["day", "week", "month", "year"] = Field(
        description="how much one run, and one release, is about; weeks are those of ISO 8601"
    )
    timezone: TimeZone = Field(
        default="UTC",
        description="in which days begin and the schedule counts, such as Europe/Berlin",
    )


class AlertParams(Record):
    mail: list[str] = Field(default=[], description="addresses told of refusals and failures")
    webhook: ConnectionName | None = Field(
        default=None, description="names what holds the URL that is called with them, as JSON"
    )
    deadline_minutes: int | None = Field(
        default=None,
        ge=1,
        le=366 * 24 * 60,
        description="a run that takes longer is told of, too; null: none is",
    )


Approval = Literal["none", "required"]

OPERATIONAL = ("schedule", "partition", "approval", "access", "alerts")
"""Settings of a dataset, and of its `publish` section, that no release holds."""
OPERATIONAL_OF_PUBLISHING = ("to", "keep")
