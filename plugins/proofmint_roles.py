"""Roles that `access` names and that nobody has made yet: they are made here, with no one in them.

Airflow's FAB auth manager refuses a DAG that names an unknown role, and Airflow then takes away all
DAGs of the same file: one role that is mistyped, or not made yet, would stop every dataset. A DAG
file cannot know the roles. So the DAG processor, which is told of the refusal, makes what is missing;
such a role may do nothing but what `access` says, and an administrator decides who has it.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

PROJECT = Path(__file__).resolve().parent.parent

_REFUSAL = "DagAccessControlValidationError"

_log = logging.getLogger(__name__)


class RoleMaker:
    """Hears of the import errors of DAG files."""

    @hookimpl
    def on_new_dag_import_error(self, stacktrace: str) -> None:
        """Called with the error of a file that had none before."""
        self._make(stacktrace)

    @hookimpl
    def on_existing_dag_import_error(self, stacktrace: str) -> None:
        """Called as often as the file is read and is wrong still."""
        self._make(stacktrace)

    def _make(self, stacktrace: str) -> None:
        if _REFUSAL not in stacktrace:
            return
        from airflow.providers.fab.auth_manager.models import Role
        from airflow.settings import Session
        from sqlalchemy import select
        from sqlalchemy.exc import IntegrityError

        # The DAG processor's session: it commits the error and the roles together.
        session = Session()
        known = set(session.scalars(select(Role.name)))
        for name in dict.fromkeys(_named()):
            if name not in known:
                # Another DAG processor may be quicker.
                with contextlib.suppress(IntegrityError), session.begin_nested():
                    session.add(Role(name=name))
                _log.warning("made the role %r, which params.yaml names: nobody has it yet", name)


def _named() -> Iterator[str]:
    """The roles in the `access` of all datasets."""
    from tasks.pipeline import Dataset, load_each

    for dataset in load_each(PROJECT).values():
        if isinstance(dataset, Dataset):
            access = dataset.params.get("access") or {}
            yield from access.get("roles") or ()
            yield from access.get("operators") or ()


class ProofmintRolesPlugin(AirflowPlugin):
    """Makes Airflow tell us of import errors."""

    name = "proofmint_roles"
    listeners: ClassVar = [RoleMaker()]
