"""Who may see what: the rights on a dataset are those on the DAG of its name.

Airflow mounts a plugin's application without any check of its own, so each route here asks
Airflow's auth manager, whichever is in use: no user, no answer; no right to read the DAG, no page,
file or name of the dataset.
"""

from collections.abc import Iterable
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request, status

from tasks.catalogue import dag_of

UserDep = Annotated[BaseUser, Depends(get_user)]


def readable(user: BaseUser, names: Iterable[str]) -> list[str]:
    """Those datasets whose DAG the user may read, in the given order."""
    return [name for name in names if may_read(user, name)]


def may_read(user: BaseUser, dataset: str, entity: DagAccessEntity | None = None) -> bool:
    """Whether the user may read the DAG of a dataset, or some part of what Airflow knows of it."""
    dag_id = dag_of(dataset)
    manager: BaseAuthManager[BaseUser] = get_auth_manager()
    return manager.is_authorized_dag(
        method="GET",
        user=user,
        access_entity=entity,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
    )


def may_trigger(user: BaseUser, dataset: str) -> bool:
    """Whether the user may start a run."""
    dag_id = dag_of(dataset)
    manager: BaseAuthManager[BaseUser] = get_auth_manager()
    return manager.is_authorized_dag(
        method="POST",
        user=user,
        access_entity=DagAccessEntity.RUN,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
    )


def refuse_nul(request: Request) -> None:
    """No name holds a NUL, and no database takes one to look for it.

    Raises:
        HTTPException: 404.
    """
    if "\0" in request.scope["path"]:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such page.")


def reader_of(dataset: str, user: UserDep) -> BaseUser:
    """The user of a route about one dataset.

    Raises:
        HTTPException: 401 without a user, 403 without the right.
    """
    if not may_read(user, dataset):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "You may not see this dataset.")
    return user
