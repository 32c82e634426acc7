"""What Airflow's own processes import is in the light image, whose packages docker/airflow.txt names."""

import json
import re
import subprocess
import sys
from importlib import metadata

from packaging.requirements import Requirement

from tests.projects import REPOSITORY

IMPORT_WITHOUT = """
import importlib, json, pathlib, sys

class Absent:
    missing = set(json.loads(sys.argv[1]))
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.path[:0] = ["plugins", "."]
for path in sorted(pathlib.Path("plugins").glob("*.py")):
    importlib.import_module(path.stem)
importlib.import_module("tasks.catalogue")
"""


def test_plugins_and_the_catalogue_need_nothing_that_the_light_image_has_not() -> None:
    light = _light()
    owners = metadata.packages_distributions()
    absent = [
        module
        for module, distributions in owners.items()
        if module != "tasks" and not any(_normal(name) in light for name in distributions)
    ]
    assert {"torch", "pandas", "mlflow", "dvc"} <= set(absent)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT, json.dumps(absent)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _light() -> set[str]:
    """The packages of docker/airflow.txt with everything that they need."""
    text = (REPOSITORY / "docker" / "airflow.txt").read_text()
    waiting = [Requirement(line) for line in text.splitlines() if line and line[0] != "#"]
    found: dict[str, set[str]] = {}
    while waiting:
        wanted = waiting.pop()
        name, extras = _normal(wanted.name), {"", *wanted.extras}
        new = extras - found.setdefault(name, set())
        found[name] |= new
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another platform
            continue
        for line in needed if new else ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in new):
                waiting.append(requirement)
    return set(found)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
