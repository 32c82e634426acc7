"""Where the question of an approval leads to, wherever Airflow is served."""

import json
import subprocess
import sys

from tests.projects import REPOSITORY

LINKS = """
import json, os, sys
from types import SimpleNamespace
sys.path[:0] = sys.argv[1:]
from proofmint_approval import ApproveOperator

def link(base_url):
    os.environ["AIRFLOW__API__BASE_URL"] = base_url
    context = {"ti": SimpleNamespace(dag_id="adult"), "run_id": "by_hand+1"}
    return ApproveOperator._links(context).partition("](")[2]

print(json.dumps([link(url) for url in ("", "http://h:8080", "https://h/", "https://h/air/flow/")]))
"""


def test_the_evidence_is_linked_below_the_path_of_airflow() -> None:
    command = [sys.executable, "-c", LINKS, str(REPOSITORY / "plugins"), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    page = "/proofmint/datasets/adult/runs/by_hand%2B1)"
    assert json.loads(done.stdout.splitlines()[-1]) == [page, page, page, f"/air/flow{page}"]
