"""The catalogue in Airflow as users with other roles have it: what each may see, and what is shown."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tasks import versions
from tasks.releases import open_release
from tasks.worktrees import path_of
from tests.api_server import ApiServer, api_server
from tests.projects import REPOSITORY
from tests.released_project import HOSTILE, OTHER, REASON, make_releases, set_access
from tests.small_project import DATASET

USERS = {"admin": "Admin", "viewer": "Viewer", "ann": "Team A", "ben": "Team B", "eve": "Public"}

HERE = f"/proofmint/datasets/{DATASET}"
ABOUT_THE_DATASET = [
    HERE,
    f"{HERE}/runs/nothing",
    *(f"{HERE}/versions/{version}{page}" for version in ("v1", "v2") for page in ("", "/report")),
    f"{HERE}/versions/v2/attestation",
    f"{HERE}/versions/v2/files/README.md",
    f"{HERE}/versions/v2/files/evidence/metrics.json",
]

ROUTES = """
import json, sys
sys.path[:0] = sys.argv[1:]
from fastapi.routing import APIRoute
from proofmint_pages.application import app
assert not [route for route in app.routes if not isinstance(route, APIRoute)], app.routes
print(json.dumps([[route.path, sorted(route.methods)] for route in app.routes]))
"""


@dataclass(frozen=True)
class Visitors:
    """A server and a session of each user."""

    server: ApiServer
    tokens: dict[str, str]

    def status(self, user: str, path: str) -> int:
        return self.server.get(path, self.tokens[user]).status

    def text(self, user: str, path: str) -> str:
        answer = self.server.get(path, self.tokens[user])
        assert answer.status == 200, answer.text
        return answer.text


@pytest.fixture(scope="module")
def visitors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitors]:
    root = tmp_path_factory.mktemp("catalogue") / "project"
    make_releases(root)
    with api_server(root, USERS) as server:
        yield Visitors(server, {user: server.token(user) for user in USERS})


def test_no_route_answers_without_a_login(visitors: Visitors) -> None:
    command = [sys.executable, "-c", ROUTES, str(REPOSITORY / "plugins"), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    routes = json.loads(done.stdout.splitlines()[-1])
    assert len(routes) >= 8
    values = {
        "{dataset}": DATASET,
        "{version}": "v2",
        "{run_id}": "r",
        "{path:path}": "README.md",
        "{name}": "catalogue.css",
    }
    for route, methods in routes:
        assert methods == ["GET"], "a route that changes something needs protection from forgery"
        path = f"/proofmint{route}"
        for name, value in values.items():
            path = path.replace(name, value)
        answer = visitors.server.get(path)
        assert answer.status == 401, path
        assert DATASET not in answer.text
        assert visitors.server.get(path, "x.y.z").status in (401, 403), path
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert visitors.server.get(path, method=method).status in (401, 404, 405), path


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "static/", "static/../routes"])
def test_nothing_else_is_there(visitors: Visitors, path: str) -> None:
    assert visitors.server.get(f"/proofmint/{path}").status in (401, 404)
    assert visitors.status("admin", f"/proofmint/{path}") == 404


def test_each_user_sees_the_datasets_of_their_role(visitors: Visitors) -> None:
    shown = {
        user: [
            name
            for name in (DATASET, OTHER)
            if f"/datasets/{name}" in visitors.text(user, "/proofmint/")
        ]
        for user in USERS
    }
    both = [DATASET, OTHER]
    assert shown == {"admin": both, "viewer": both, "ann": [DATASET], "ben": [OTHER], "eve": []}


@pytest.mark.parametrize("path", ABOUT_THE_DATASET)
def test_who_may_not_read_the_dag_gets_nothing_of_the_dataset(
    visitors: Visitors, path: str
) -> None:
    expected = 404 if path.endswith("nothing") else 200
    for user in ("admin", "viewer", "ann"):
        assert visitors.status(user, path) == expected, user
    for user in ("ben", "eve"):
        answer = visitors.server.get(path, visitors.tokens[user])
        assert answer.status == 403, user
        assert "Made-up" not in answer.text
        nowhere = visitors.server.get(path.replace(DATASET, "nowhere"), visitors.tokens[user])
        assert (nowhere.status, nowhere.text) == (403, answer.text)  # no name is told by the answer


def test_a_page_tells_browsers_to_run_nothing_foreign(visitors: Visitors) -> None:
    page = visitors.server.get(HERE, visitors.tokens["ann"]).headers
    policy = dict(part.strip().split(" ", 1) for part in page["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["frame-ancestors"] == "'self'"
    assert (page["x-content-type-options"], page["cache-control"]) == ("nosniff", "no-store")
    report = visitors.server.get(f"{HERE}/versions/v2/report", visitors.tokens["ann"]).headers
    assert report["content-security-policy"].startswith("sandbox; default-src 'none'")
    file = visitors.server.get(
        f"{HERE}/versions/v2/files/README.md", visitors.tokens["ann"]
    ).headers
    assert file["content-disposition"].startswith("attachment;")
    assert file["content-security-policy"].startswith("sandbox")


def test_what_a_project_says_is_text_on_the_page(visitors: Visitors) -> None:
    page = visitors.text("ben", "/proofmint/") + visitors.text(
        "ben", f"/proofmint/datasets/{OTHER}"
    )
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    searched = visitors.text("ben", "/proofmint/?q=" + quote('"><script>alert(2)</script>'))
    assert "<script>alert" not in searched
    assert REASON not in visitors.text("ann", HERE)
    assert "A column &lt;b&gt;held&lt;/b&gt; addresses" in visitors.text("ann", HERE)


def test_a_release_shows_its_evidence_and_where_it_is_from(visitors: Visitors) -> None:
    version = versions.newest(visitors.server.project, DATASET)
    assert version is not None
    page = visitors.text("ann", f"{HERE}/versions/v2")
    assert "signed by this project" in page
    for shown in ("Column shapes, error (%)", "Synthetic data", "Lineage"):
        assert shown in page
    for identifier in (version.digest, version.revision, version.tag):
        assert f'data-copy="{identifier}"' in page
    assert f"dvc get &lt;repository&gt; releases/{DATASET} --rev {version.tag}" in page
    assert f'src="{HERE}/versions/v2/report"' in page


def test_every_file_is_served_as_it_was_released(visitors: Visitors) -> None:
    for name, rows in (("v1", 40), ("v2", 50)):
        there = f"{HERE}/versions/{name}/files"
        manifest = visitors.text("ann", f"{there}/evidence/manifest.json")
        files = json.loads(manifest)["files"]
        assert len(files) > 5
        for file in files:
            answer = visitors.server.get(f"{there}/{quote(file['path'])}", visitors.tokens["ann"])
            assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
        assert f"{rows} synthetic rows" in visitors.text("ann", f"{HERE}/versions/{name}")


@pytest.mark.parametrize("path", ["README.md", "report.html", "data/patients/part-00000.parquet"])
def test_a_file_that_was_changed_is_not_served(visitors: Visitors, path: str) -> None:
    version = versions.newest(visitors.server.project, DATASET)
    assert version is not None
    place = open_release(visitors.server.project, version).place(path)
    content, mode = place.read_bytes(), place.stat().st_mode
    place.chmod(0o644)
    place.write_bytes(content + b"TAMPERED")
    try:
        answer = visitors.server.get(f"{HERE}/versions/v2/files/{path}", visitors.tokens["ann"])
        assert answer.status == 503
        assert "was changed since it was released" in answer.text
        assert b"TAMPERED" not in answer.content
    finally:
        place.write_bytes(content)
        place.chmod(mode)


@pytest.mark.parametrize(
    "path",
    [
        "../../../../params.yaml",
        "..%2f..%2f..%2f..%2fparams.yaml",
        "%2e%2e/%2e%2e/params.yaml",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "data",
        "evidence%00manifest.json",
        "..%5c..%5cparams.yaml",
    ],
)
def test_no_path_leads_out_of_a_release(visitors: Visitors, path: str) -> None:
    answer = visitors.server.get(f"{HERE}/versions/v2/files/{path}", visitors.tokens["admin"])
    assert answer.status == 404
    assert b"datasets:" not in answer.content


@pytest.mark.parametrize("version", ["v3", "v0", "v1%2f..", "HEAD", "v2%00", "--help"])
def test_there_is_no_other_version(visitors: Visitors, version: str) -> None:
    assert visitors.status("admin", f"{HERE}/versions/{version}") == 404


def test_a_withdrawn_version_and_a_refusal_are_explained(visitors: Visitors) -> None:
    release, dataset = visitors.text("ann", f"{HERE}/versions/v1"), visitors.text("ann", HERE)
    assert "Withdrawn" in release
    assert "Do not use it" in release
    assert "Use it" not in release
    assert "Use it" in visitors.text("ann", f"{HERE}/versions/v2")
    assert f'{HERE}/versions/v2">Release v2</a>' in dataset
    assert f'{HERE}/versions/v2">v2</a> stands' in release
    assert "Refused at the gate of the release" in dataset
    assert "Column shapes, error (%) must be at most 10" in dataset
    assert "found 12.5" in dataset


def test_only_who_may_start_a_run_is_offered_to(visitors: Visitors) -> None:
    assert "Trigger a run" in visitors.text("admin", HERE)
    assert "Trigger a run" not in visitors.text("ann", HERE)
    assert "Trigger a run" not in visitors.text("viewer", HERE)


def test_a_run_is_shown_with_its_gates(visitors: Visitors) -> None:
    token = visitors.tokens["admin"]
    asked = {"dag_run_id": "by_hand~1+2:3", "logical_date": None}
    made = visitors.server.api("POST", f"/api/v2/dags/{DATASET}/dagRuns", token, asked)
    assert made.status == 200, made.text
    address = f"{HERE}/runs/{quote(asked['dag_run_id'], safe='')}"
    assert "by_hand~1+2:3" in visitors.text("ann", HERE)
    run = visitors.text("ann", address)
    assert "It has not ended yet." in run
    assert run.count("not reached") == 4
    assert visitors.status("ben", address) == 403


def test_a_run_whose_release_was_withdrawn_says_so(visitors: Visitors) -> None:
    withdrawn, _ = versions.versions(visitors.server.project, DATASET)
    token, there = visitors.tokens["admin"], f"/api/v2/dags/{DATASET}/dagRuns"
    asked = {"dag_run_id": "withdrawn", "logical_date": None}
    assert visitors.server.api("POST", there, token, asked).status == 200
    said = {"key": "return_value", "value": {"version": "v1", "commit": withdrawn.commit}}
    place = f"{there}/withdrawn/taskInstances/release/xcomEntries"
    assert visitors.server.api("POST", place, token, said).status == 201
    page = visitors.text("ann", f"{HERE}/runs/withdrawn")
    assert "It released v1, which was withdrawn since." in page
    assert "A column &lt;b&gt;held&lt;/b&gt; addresses" in page
    assert f'class="button" href="{HERE}/versions/v1"' in page


def test_who_is_asked_to_approve_a_run_sees_what_it_would_release(visitors: Visitors) -> None:
    project, run_id = visitors.server.project, "waiting"
    asked = {"dag_run_id": run_id, "logical_date": None}
    token = visitors.tokens["admin"]
    assert (
        visitors.server.api("POST", f"/api/v2/dags/{DATASET}/dagRuns", token, asked).status == 200
    )
    address = f"{HERE}/runs/{run_id}"
    assert visitors.status("ann", f"{address}/report") == 404
    worktree = path_of(project, DATASET, run_id)
    shutil.copytree(project / "releases" / DATASET, worktree / "releases" / DATASET)
    page = visitors.text("ann", address)
    assert "What it would release" in page
    manifest = (project / "releases" / DATASET / "evidence" / "manifest.json").read_bytes()
    assert f'data-copy="{hashlib.sha256(manifest).hexdigest()}"' in page
    report = visitors.server.get(f"{address}/report", visitors.tokens["ann"])
    assert report.content == (project / "releases" / DATASET / "report.html").read_bytes()
    assert report.headers["content-security-policy"].startswith("sandbox;")
    assert visitors.status("ben", f"{address}/report") == 403


def test_a_partition_is_seen_by_who_sees_its_dataset(visitors: Visitors) -> None:
    project, part = visitors.server.project, f"{DATASET}__2026_03"
    newest = versions.newest(project, DATASET)
    assert newest is not None
    versions.publish_version(project, replace(newest, dataset=part, number=1), None)
    address = f"/proofmint/datasets/{part}"
    assert f'href="{address}"' in visitors.text("ann", HERE)
    assert f'href="{address}"' not in visitors.text("ann", "/proofmint/")
    for path in (address, f"{address}/versions/v1"):
        assert visitors.status("ann", path) == 200
        assert visitors.status("ben", path) == 403


def test_who_loses_a_role_loses_the_dataset(visitors: Visitors) -> None:
    project = visitors.server.project
    try:
        set_access(project, {DATASET: {"roles": [], "operators": ["Team B"]}})
        visitors.server.read_dags()
        for path in ABOUT_THE_DATASET:
            assert visitors.status("ann", path) == 403
        assert "Trigger a run" in visitors.text("ben", HERE)
    finally:
        set_access(project, {DATASET: {"roles": ["Team A"]}})
        visitors.server.read_dags()
    assert visitors.status("ann", HERE) == 200
    assert visitors.status("ben", HERE) == 403


def test_a_role_that_is_not_there_is_made_and_stops_no_dataset(visitors: Visitors) -> None:
    project, token = visitors.server.project, visitors.tokens["admin"]
    try:
        set_access(project, {DATASET: {"roles": ["Team A", "Nobody's"], "operators": ["Team C"]}})
        for _ in range(2):  # Airflow refuses all DAGs of the file first
            visitors.server.read_dags()
        found = json.loads(visitors.server.api("GET", "/api/v2/dags", token).content)["dags"]
        assert {d["dag_id"]: d["has_import_errors"] for d in found} == {
            DATASET: False,
            OTHER: False,
        }
        assert "Team A, Nobody&#39;s, Team C" in visitors.text("ann", HERE)
        assert visitors.status("eve", HERE) == 403
    finally:
        set_access(project, {DATASET: {"roles": ["Team A"]}})
        visitors.server.read_dags()


@pytest.mark.parametrize("path", ["/proofmint/datasets/a%00b", f"{HERE}/runs/a%00b"])
def test_no_name_holds_a_nul(visitors: Visitors, path: str) -> None:
    assert visitors.server.get(path).status == 401
    assert visitors.status("admin", path) == 404


WRONG_ENTRIES: dict[Any, Any] = {
    2024: {},
    None: {},
    "empty": None,
    "targets": {"publish": {"to": "x"}},
    "target": {"publish": {"to": [None]}},
    "operators": {"access": {"roles": ["Team A"], "operators": 5}},
}


def test_a_wrong_entry_is_shown_as_wrong_and_stops_no_other(visitors: Visitors) -> None:
    params = visitors.server.project / "params.yaml"
    text = params.read_text()
    project = yaml.safe_load(text)
    right = project["datasets"][DATASET]
    for name, wrong in WRONG_ENTRIES.items():
        project["datasets"][name] = wrong and {**right, **wrong}
    try:
        params.write_text(yaml.safe_dump(project, sort_keys=False))
        page = visitors.text("admin", "/proofmint/")
        assert page.count("not ready") == page.count('class="fault"') == len(WRONG_ENTRIES)
        assert visitors.text("ann", HERE).count("cannot be used") == 0
        for name in ("empty", "targets", "target", "operators"):
            assert "cannot be used" in visitors.text("admin", f"/proofmint/datasets/{name}")
        for name in ("2024", "None"):
            assert visitors.status("admin", f"/proofmint/datasets/{name}") == 404
    finally:
        params.write_text(text)


def test_pages_work_from_a_project_that_is_not_whole(visitors: Visitors) -> None:
    params = visitors.server.project / "params.yaml"
    text = params.read_text()
    try:
        for content in (b"datasets: [", b"\xff\xfe"):
            params.write_bytes(content)
            answer = visitors.server.get("/proofmint/", visitors.tokens["admin"])
            assert answer.status == 503
            assert "cannot read" in answer.text
            assert str(Path(visitors.server.project)) not in answer.text
    finally:
        params.write_text(text)
