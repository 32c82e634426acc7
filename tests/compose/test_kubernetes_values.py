"""The values for Airflow's Helm chart: its keys are the chart's, and what they name is ours. No cluster is needed."""

import re
from types import SimpleNamespace
from typing import Any

import yaml

from tests.projects import REPOSITORY

FOLDER = REPOSITORY / "docker" / "kubernetes"

CHART_KEYS = {
    "": "airflowHome airflowLocalSettings airflowVersion allowPodLaunching apiSecretKeySecretName apiServer config"
    " createUserJob dagProcessor data defaultAirflowTag executor fernetKeySecretName gid images jwtSecretName logs"
    " migrateDatabaseJob postgresql redis scheduler securityContexts statsd triggerer uid volumes workers",
    "apiServer": "env extraVolumeMounts resources",
    "createUserJob": "enabled",
    "dagProcessor": "enabled extraVolumeMounts resources",
    "data": "metadataSecretName",
    "images": "airflow pod_template",
    "images.airflow": "repository tag",
    "images.pod_template": "repository tag",
    "logs": "persistence",
    "logs.persistence": "enabled existingClaim",
    "migrateDatabaseJob": "extraVolumeMounts",
    "postgresql": "enabled",
    "redis": "enabled",
    "scheduler": "extraVolumeMounts resources",
    "securityContexts": "containers pod",
    "statsd": "enabled",
    "triggerer": "extraVolumeMounts persistence resources",
    "triggerer.persistence": "enabled",
    "workers": "kubernetes",
    "workers.kubernetes": "env extraVolumeMounts extraVolumes resources terminationGracePeriodSeconds",
}
"""By place, the keys of the chart's values.yaml that we use; below them stand objects of Kubernetes."""


def test_every_key_is_one_of_the_chart() -> None:
    values = _values()
    for place, keys in CHART_KEYS.items():
        found = values
        for key in filter(None, place.split(".")):
            found = found[key]
        assert set(found) - set(keys.split()) == set(), place


def test_every_setting_is_one_of_airflow() -> None:
    from airflow.configuration import conf

    for section, options in _values()["config"].items():
        for name in options if section != "kubernetes_executor" else ():
            assert name in conf.configuration_description[section]["options"], f"{section}.{name}"


def test_an_outage_is_outlived_and_the_catalogue_links_as_under_compose() -> None:
    values = _values()
    settings = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    for name, value in values["config"]["workers"].items():
        assert settings["x-airflow-settings"][f"AIRFLOW__WORKERS__{name.upper()}"] == str(value)
    given = {each["name"] for each in values["apiServer"]["env"]}
    assert given <= settings["x-airflow-environment"].keys()


def test_everything_mounted_is_a_volume() -> None:
    values = _values()
    everywhere = {volume["name"] for volume in values["volumes"]}
    for part in ("scheduler", "dagProcessor", "triggerer", "apiServer", "migrateDatabaseJob"):
        for mount in values[part]["extraVolumeMounts"]:
            assert mount["name"] in everywhere
            assert mount["readOnly"], f"{part} would write to the project"
    own = everywhere | {
        volume["name"] for volume in values["workers"]["kubernetes"]["extraVolumes"]
    }
    assert {mount["name"] for mount in values["workers"]["kubernetes"]["extraVolumeMounts"]} <= own


def test_no_secret_stands_in_the_files() -> None:
    for path in FOLDER.glob("*.yaml"):
        text = re.sub(r"#.*", "", path.read_text())
        assert not re.search(r"(?i)(password|token|key):\s*[\"']?[\w+/=-]{12,}", text)


def test_volumes_and_images_are_those_of_the_project_step() -> None:
    documents = {
        (each["kind"], each["metadata"]["name"]): each
        for each in yaml.safe_load_all((FOLDER / "project.yaml").read_text())
    }
    values = _values()
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in values["volumes"]}
    claims.add(values["logs"]["persistence"]["existingClaim"])
    assert claims == {name for kind, name in documents if kind == "PersistentVolumeClaim"}
    job = documents["Job", "proofmint-project"]["spec"]["template"]["spec"]
    image = values["images"]["airflow"]
    assert job["containers"][0]["image"] == f"{image['repository']}:{image['tag']}"


def test_a_training_gets_a_gpu_and_other_tasks_get_none() -> None:
    code: dict[str, Any] = {}
    exec(_values()["airflowLocalSettings"], code)  # noqa: S102 - our own file
    train, clean = _pod("train"), _pod("clean")
    code["pod_mutation_hook"](train)
    code["pod_mutation_hook"](clean)
    assert train.spec.containers[0].resources.limits == {"memory": "8Gi", "nvidia.com/gpu": "1"}
    assert train.spec.containers[0].image == "pipeline:1-cuda"
    assert train.spec.node_selector == {"nvidia.com/gpu.present": "true"}
    assert clean.spec == _pod("clean").spec


def test_the_tasks_that_get_a_gpu_are_those_of_its_queue() -> None:
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    on_gpu = {
        name
        for name, stage in stages.items()
        if stage.get("do", stage).get("meta", {}).get("airflow", {}).get("queue") == "gpu"
    }
    assert on_gpu == {"train"}


def _values() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
    return values


def _pod(task: str) -> SimpleNamespace:
    """A pod as the executor hands it over, with the fields that the hook looks at."""
    container = SimpleNamespace(
        name="base", image="pipeline:1", resources=SimpleNamespace(limits={"memory": "8Gi"})
    )
    return SimpleNamespace(
        metadata=SimpleNamespace(labels={"task_id": task}),
        spec=SimpleNamespace(node_selector=None, tolerations=None, containers=[container]),
    )
