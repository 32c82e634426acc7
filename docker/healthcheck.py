"""Whether a service does its work; the exit status is the answer, and what is printed is why not.

healthcheck.py scheduler        by its heartbeat, as Airflow's API server tells it
healthcheck.py http://…/health  by an answer without an error
healthcheck.py celery           by this worker's answer through the broker
"""

import json
import os
import socket
import sys
import urllib.request

AIRFLOW_HEALTH = "/api/v2/monitor/health"
SECONDS = 10


def read(url: str) -> bytes:
    """What a server answers, never by way of a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SECONDS) as answer:
        return bytes(answer.read())


def check_heartbeat(part: str) -> None:
    """Ask for the health of one of Airflow's processes.

    Raises:
        SystemExit: it has not said for a while that it lives.
    """
    api = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].removesuffix("/execution/")
    found = json.loads(read(api + AIRFLOW_HEALTH))[part]
    if found["status"] != "healthy":
        raise SystemExit(f"expected {part} to be healthy, found {found}")


def check_worker() -> None:
    """Ask the worker of this container for an answer.

    Raises:
        SystemExit: none came.
    """
    from celery import Celery

    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    name = f"celery@{socket.gethostname()}"
    if not app.control.inspect(destination=[name], timeout=SECONDS).ping():
        raise SystemExit(f"expected {name} to answer within {SECONDS} s")


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "celery":
        check_worker()
    elif "://" in what:
        read(what)
    else:
        check_heartbeat(what)
