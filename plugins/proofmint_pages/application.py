"""The web application below Airflow's: routes that read, each for users with the right alone.

No route changes anything, so there is nothing to forge. What a browser may do with an answer is said
in its headers: no script but our one file, no frame but our own, no guessed types.
"""

import http
import logging
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import get_user
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from proofmint_pages import pages, runs
from proofmint_pages.access import UserDep, may_trigger, readable, reader_of, refuse_nul
from tasks import catalogue
from tasks.catalogue import Entry, dag_of
from tasks.errors import DataError, ProofmintError
from tasks.releases import REPORT_FILE, Release, open_candidate, open_release
from tasks.versions import Version

PROJECT = Path(__file__).resolve().parents[2]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none';"
    " base-uri 'none'; frame-ancestors 'self'"
)
"""A report brings its own style and pictures; it runs nothing and has no origin."""

FILE_POLICY = "sandbox; default-src 'none'"

STATIC = {
    "catalogue.css": "text/css",
    "catalogue.js": "text/javascript",
    "datasets.svg": "image/svg+xml",
}

_log = logging.getLogger(__name__)

# Without the description of the routes, which would be a route without a check.
app = FastAPI(
    title="Proofmint",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(get_user), Depends(refuse_nul)],
)


# All below asks for the right to read the dataset first, so a name tells nothing to whoever may not.
of_dataset = APIRouter(prefix="/datasets/{dataset}", dependencies=[Depends(reader_of)])


@app.get("/")
def show_catalogue(request: Request, user: UserDep, session: SessionDep, q: str = "") -> Response:
    """All datasets that the user may see."""
    found = catalogue.entries(PROJECT)
    entries = [found[name] for name in readable(user, found)]
    dags = runs.dags(session, [entry.name for entry in entries])
    cards = [_card(entry, dags.get(entry.name)) for entry in entries]
    return _page(request, "catalogue", cards=cards, q=q)


@of_dataset.get("")
def show_dataset(request: Request, dataset: str, user: UserDep, session: SessionDep) -> Response:
    """One dataset: what it is, its gates, its versions, its runs."""
    entry, dag_id = _entry(dataset), dag_of(dataset)
    # The runs of a DAG are of all partitions; a partition shows what its evidence says.
    recent = runs.recent(session, dag_id) if dag_id == dataset else []
    refused = catalogue.refusals(PROJECT, dataset)
    states = runs.task_states(session, dag_id, recent[0].run_id) if recent else {}
    return _page(
        request,
        "dataset",
        entry=entry,
        dag=runs.dags(session, [dag_id]).get(dag_id),
        dag_id=dag_id,
        triggers=may_trigger(user, dataset),
        seers=pages.who_sees(entry),
        runs=recent,
        steps=pages.steps_of_run(states, refused) if recent else _steps_of_newest(entry),
        refusals=refused,
        targets=[target["type"] for target in entry.publish.get("to") or ()],
    )


@of_dataset.get("/runs/{run_id}")
def show_run(request: Request, dataset: str, run_id: str, session: SessionDep) -> Response:
    """What one DAG run came to: a version, nothing new, or a refusal."""
    entry, dag_id = _entry(dataset), dag_of(dataset)
    run = runs.find(session, dag_id, run_id)
    if run is None:
        raise HTTPException(http.HTTPStatus.NOT_FOUND, "There is no such run.")
    states = runs.task_states(session, dag_id, run_id)
    refused = [
        refusal
        for refusal in catalogue.refusals(PROJECT, dag_id)
        if states.get(runs.GATES[refusal.gate]) == "failed" and run.lasted_at(refusal.at)
    ]
    released = runs.released(session, dag_id, run_id) or {}
    candidate = None if released else _readable(open_candidate(PROJECT, dag_id, run_id))
    results = candidate.results if candidate else ()
    version = entry.version_of_commit(str(released.get("commit")))
    waits = states.get(runs.APPROVAL) in runs.WAITING
    return _page(
        request,
        "run",
        entry=entry,
        dag_id=dag_id,
        run=run,
        version=version,
        outcome=pages.outcome(run, states, released, version, refused),
        waits=waits,
        candidate=candidate,
        scores=pages.scores(results),
        results=pages.by_family(results),
        refusals=refused,
        steps=pages.steps_of_run(states, refused),
    )


@of_dataset.get("/runs/{run_id}/report")
def show_report_of_run(dataset: str, run_id: str) -> Response:
    """The report of what a run would release, for whoever is asked to approve it."""
    candidate = open_candidate(PROJECT, dag_of(dataset), run_id)
    if candidate is None:
        raise HTTPException(http.HTTPStatus.NOT_FOUND, "The run has nothing to release now.")
    return _report(candidate)


@of_dataset.get("/versions/{version}")
def show_release(request: Request, dataset: str, version: str) -> Response:
    """One version: its evidence, where it is from, its files, its report."""
    entry = _entry(dataset)
    found = _version(entry, version)
    release, missing = _opened(found)
    signature = catalogue.signature(PROJECT, found)
    files = release.files if release else {}
    return _page(
        request,
        "release",
        entry=entry,
        version=found,
        signature=signature,
        facts=signature.facts,
        approval=pages.approval_in_words(signature.facts.get("approval")),
        missing=missing,
        files=files,
        size_bytes=sum(file.size_bytes for file in files.values()),
        scores=pages.scores(release.results) if release else [],
        results=pages.by_family(release.results) if release else [],
        steps=pages.steps_of_release(release) if release else [],
        products=catalogue.lineage(PROJECT, found),
        source=catalogue.source_type(PROJECT, found),
        snippets=pages.snippets(found, list(files)),
        mlflow=pages.mlflow_address(),
    )


@of_dataset.get("/versions/{version}/report")
def show_report(dataset: str, version: str) -> Response:
    """The report of a version, as it was released."""
    return _report(_release(dataset, version))


@of_dataset.get("/versions/{version}/attestation")
def download_attestation(dataset: str, version: str) -> Response:
    """The attestation of a version, as it was signed."""
    found = _version(_entry(dataset), version)
    text = catalogue.signature(PROJECT, found).text
    return Response(
        text, media_type="application/json", headers=_download(f"{dataset}.attestation.json")
    )


@of_dataset.get("/versions/{version}/files/{path:path}")
def download_file(dataset: str, version: str, path: str) -> Response:
    """A file of a version, which its manifest must name."""
    place = _release(dataset, version).place(path)
    return FileResponse(
        place,
        media_type="application/octet-stream",
        headers=_download(path.rpartition("/")[2]),
    )


@app.get("/static/{name}")
def get_static(name: str) -> Response:
    """Our style, script and icons, for users alone like all else."""
    if name not in STATIC:
        raise HTTPException(http.HTTPStatus.NOT_FOUND, "There is no such file.")
    return FileResponse(
        pages.HERE / "static" / name,
        media_type=STATIC[name],
        headers={"Cache-Control": "private, max-age=86400"},
    )


app.include_router(of_dataset)


@app.middleware("http")
async def protect(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Say in each answer what a browser may do with it."""
    response = await answer(request)
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


@app.exception_handler(StarletteHTTPException)
def explain_status(request: Request, error: StarletteHTTPException) -> Response:
    """A page in place of JSON: people read it. Whoever follows a link without a session logs in first."""
    if error.status_code == 401 and request.headers.get("Sec-Fetch-Dest") == "document":
        back = urllib.parse.quote(str(request.url), safe="")
        return RedirectResponse(f"{_airflow(request)}api/v2/auth/login?next={back}")
    headline = {
        401: "You are not logged in",
        403: "Not yours to see",
        404: "Not found",
    }.get(error.status_code, http.HTTPStatus(error.status_code).phrase)
    message = "Log in to Airflow first." if error.status_code == 401 else str(error.detail)
    return _error(request, error.status_code, headline, message)


@app.exception_handler(ProofmintError)
def explain_fault(request: Request, error: ProofmintError) -> Response:
    """What is wrong with the project or a release, for whoever may see the dataset."""
    if isinstance(error, DataError):
        return _error(request, 404, "Not found", "The release has no such file.")
    _log.warning("%s: %s", request.url.path, error)
    return _error(request, 503, "Cannot be shown", pages.in_public(error, PROJECT))


def _card(entry: Entry, dag: runs.Dag | None) -> pages.Card:
    """A partitioned dataset shows its last partition."""
    shown = entry.partitions[-1] if entry.partitions else entry
    return pages.Card(
        entry,
        dag,
        newest=shown.newest,
        standing=shown.standing,
        refused=bool(catalogue.refusals(PROJECT, entry.name)),
    )


def _steps_of_newest(entry: Entry) -> list[pages.Step]:
    release = _opened(entry.newest)[0] if entry.newest else None
    return pages.steps_of_release(release) if release else []


def _entry(dataset: str) -> Entry:
    found = catalogue.entry(PROJECT, dataset)
    if found is None:
        raise HTTPException(http.HTTPStatus.NOT_FOUND, "There is no such dataset.")
    return found


def _version(entry: Entry, name: str) -> Version:
    found = entry.version(name)
    if found is None:
        raise HTTPException(http.HTTPStatus.NOT_FOUND, "There is no such version.")
    return found


def _release(dataset: str, version: str) -> Release:
    return open_release(PROJECT, _version(_entry(dataset), version))


def _opened(version: Version) -> tuple[Release | None, str | None]:
    """A version with its evidence, or why it cannot be shown."""
    release = open_release(PROJECT, version)
    try:
        _ = release.manifest, release.results, release.verdicts
    except ProofmintError as error:
        return None, pages.in_public(error, PROJECT)
    return release, None


def _readable(candidate: Release | None) -> Release | None:
    """What a run would release; None also while its stages are still writing it."""
    try:
        _ = candidate and (candidate.manifest, candidate.results)
    except ProofmintError:
        return None
    return candidate


def _report(release: Release) -> Response:
    content = release.read(REPORT_FILE)
    return HTMLResponse(content, headers={"Content-Security-Policy": REPORT_POLICY})


def _page(request: Request, template: str, status: int = 200, **content: Any) -> Response:
    text = (
        pages.environment()
        .get_template(f"{template}.html.j2")
        .render(
            base=request.scope["root_path"],
            airflow=_airflow(request),
            build=pages.build(),
            **content,
        )
    )
    return HTMLResponse(text, status)


def _airflow(request: Request) -> str:
    """The path of Airflow itself, on whose server we are mounted."""
    return str(request.scope["root_path"]).removesuffix("/proofmint") + "/"


def _error(request: Request, status: int, headline: str, message: str) -> Response:
    return _page(request, "error", status, code=status, headline=headline, message=message)


def _download(name: str) -> dict[str, str]:
    quoted = urllib.parse.quote(name)
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quoted}",
        "Content-Security-Policy": FILE_POLICY,
    }
