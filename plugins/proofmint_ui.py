"""The catalogue of datasets and releases as a page of Airflow.

Every Airflow process loads this file, so the pages themselves (`proofmint_pages/`) are imported by
the API server alone, at the first request.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

URL_PREFIX = "/proofmint"

# Without a slash at the start: Airflow may stand below a path of its host.
_ADDRESS = URL_PREFIX.removeprefix("/")
_ICON = f"{_ADDRESS}/static/datasets.svg"

_Message = MutableMapping[str, Any]


async def application(
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],
    send: Callable[[_Message], Awaitable[None]],
) -> None:
    """The ASGI application of all our pages."""
    from proofmint_pages.application import app

    await app(scope, receive, send)


class ProofmintUiPlugin(AirflowPlugin):
    """Mounts the pages, and puts them where people look: the navigation, each DAG and each run."""

    name = "proofmint_ui"
    fastapi_apps: ClassVar = [{"app": application, "url_prefix": URL_PREFIX, "name": "Proofmint"}]
    external_views: ClassVar = [
        {
            "name": "Datasets",
            "href": f"{_ADDRESS}/",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "datasets",
            "icon": _ICON,
        },
        {
            "name": "Releases",
            "href": f"{_ADDRESS}/datasets/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "releases",
            "icon": _ICON,
        },
        {
            "name": "Release",
            "href": f"{_ADDRESS}/datasets/{{DAG_ID}}/runs/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "release",
            "icon": _ICON,
        },
    ]
