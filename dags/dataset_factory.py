"""One DAG per dataset of params.yaml, with the stages and edges of dvc.yaml."""

import re
import zlib
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset, AsyncCallback, DeadlineAlert, DeadlineReference, Param
from proofmint_alerts import Alert
from proofmint_approval import ApproveOperator
from proofmint_operators import (
    APPROVE_TASK,
    CloseWorktreeOperator,
    ExplainOperator,
    OpenWorktreeOperator,
    ReleaseOperator,
    StageOperator,
)
from proofmint_partitions import form_of, schedule_of

from tasks.pipeline import Dataset, PipelineError, Stage, is_name, load_each

PROJECT = Path(__file__).resolve().parent.parent


def trigger_form(dataset: Dataset) -> dict[str, Param]:
    """What a run may set for itself; an empty field means: as in params.yaml."""
    given, train = dataset.params, dataset.params["train"]
    folder = PROJECT / "tasks" / "generators" / given["kind"]
    generators = sorted(f.stem for f in folder.glob("[!_]*.py") if f.stem != "base")

    def field(title: str, current: object, **schema: object) -> Param:
        return Param(
            None, title=title, description=f"Empty: as in params.yaml ({current})", **schema
        )

    return {
        **form_of(given),
        "rows": field(
            "Synthetic rows",
            given["sample"].get("rows", "as many as the training data"),
            type=["null", "integer"],
            minimum=1,
        ),
        "seed": field(
            "Seed", given["seed"], type=["null", "integer"], minimum=0, maximum=2**63 - 1
        ),
        "generator": field(
            "Generator",
            given["generator"],
            type=["null", "string"],
            enum=[None, *generators],
            values_display={"null": f"{given['generator']}, as in params.yaml"},
        ),
        "generator_params": field(
            "Settings of the generator",
            given["generator_params"] or "its defaults",
            type=["null", "object"],
        ),
        "epochs": field(
            "Epochs at most",
            train.get("epochs", "by size"),
            type=["null", "integer"],
            minimum=1,
            maximum=100_000,
        ),
        "batch_size": field(
            "Batch size",
            train.get("batch_size", "by size"),
            type=["null", "integer"],
            minimum=1,
            maximum=1_000_000,
        ),
        "learning_rate": field(
            "Learning rate",
            train.get("learning_rate", "the generator's own"),
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=1,
        ),
    }


def documentation(dataset: Dataset) -> str:
    """The DAG's page: what the dataset is and what the stages do."""
    about = dataset.params["publish"]
    rows = "\n".join(f"| `{stage.name}` | {stage.description} |" for stage in dataset.stages)
    return (
        f"## {about.get('title', dataset.name)}\n\n{about.get('description', '')}\n\n"
        f"The same as `dvc repro publish@{dataset.name}`: a stage whose inputs did not change is"
        " taken from the cache. A gate that refuses ends the run; nothing is released then.\n\n"
        f"| stage | what it does |\n|---|---|\n{rows}\n"
    )


def stage_task(stage: Stage, connection: str | None) -> StageOperator:
    """One stage with what dvc.yaml says about it for Airflow."""
    hints = stage.airflow
    return StageOperator(
        task_id=stage.name,
        stage=stage.name,
        connection=connection,
        doc=stage.description,
        pool=hints.get("pool", "default_pool"),
        queue=hints.get("queue", "default"),
        retries=hints.get("retries", 0),
        execution_timeout=timedelta(minutes=hints.get("timeout_minutes", 60)),
    )


def access(dataset: Dataset) -> dict[str, dict[str, set[str]]] | None:
    """What each role may do with the DAG, and so with the dataset; None: Airflow's administrators say."""
    given = dataset.params.get("access") or {}
    if given.get("roles") is None:
        return None
    operators = given.get("operators") or []
    return {
        **{role: {"DAGs": {"can_read"}} for role in given["roles"]},
        **{
            role: {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_read", "can_create"}}
            for role in operators
        },
    }


def told(dataset: Dataset) -> dict[str, object]:
    """Who is told of what happens to a dataset, and how."""
    alerts = dataset.params.get("alerts") or {}
    return {"mail": alerts.get("mail") or [], "webhook": alerts.get("webhook")}


def deadline(dataset: Dataset) -> DeadlineAlert | None:
    """The moment after which people are told that a run is late; None: it may take its time."""
    minutes = (dataset.params.get("alerts") or {}).get("deadline_minutes")
    if minutes is None:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        callback=AsyncCallback("proofmint_alerts.late", {"minutes": minutes, **told(dataset)}),
    )


def of_every_task(dataset: Dataset) -> dict[str, object]:
    """What all tasks of a dataset have in common."""
    return {
        "owner": "proofmint",
        "project": str(PROJECT),
        "dataset": dataset.name,
        "partition": dataset.params.get("partition"),
        "retries": 1,
        "retry_delay": timedelta(seconds=15),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(minutes=30),
        "on_failure_callback": Alert(**told(dataset)) if any(told(dataset).values()) else None,
    }


def target_connections(dataset: Dataset) -> list[str]:
    """What the publishing targets of a dataset are reached by."""
    targets = dataset.params["publish"].get("to") or []
    return [target["connection"] for target in targets if target.get("connection")]


def dataset_dag(dataset: Dataset) -> DAG:
    """The DAG of one dataset."""
    with DAG(
        dag_id=dataset.name,
        description=dataset.params["publish"].get("title"),
        doc_md=documentation(dataset),
        # No start date: a DAG that is switched on waits for its next time, instead of running at once.
        schedule=schedule_of(dataset.params),
        catchup=False,
        max_active_runs=4,
        params=trigger_form(dataset),
        tags={"proofmint", dataset.params["kind"], dataset.params["generator"]},
        deadline=deadline(dataset),
        access_control=access(dataset),
        default_args=of_every_task(dataset),
        auto_register=False,  # one that fails half-way would stand beside the one that says why
    ) as dag:
        opened = OpenWorktreeOperator(task_id="open_worktree").as_setup()
        edges = dataset.edges()
        followers = {after for _, after in edges}
        leaders = {before for before, _ in edges}
        connection = dataset.params["source"].get("connection")
        # A stage without another stage before it is what reads the source.
        stages = {
            stage.name: stage_task(stage, None if stage.name in followers else connection)
            for stage in dataset.stages
        }
        released = ReleaseOperator(
            task_id="release",
            asset=Asset(name=dataset.name, uri=f"x-proofmint://releases/{dataset.name}"),
            connections=target_connections(dataset),
            execution_timeout=timedelta(hours=6),  # it pushes the data
        )
        last = released
        if dataset.params.get("approval") == "required":
            last = ApproveOperator(task_id=APPROVE_TASK, **told(dataset))
            last >> released
        for before, after in sorted(edges):
            stages[before] >> stages[after]
        for name, task in stages.items():
            if name not in followers:
                opened >> task
            if name not in leaders:
                task >> last
        released >> CloseWorktreeOperator(task_id="close_worktree").as_teardown(setups=opened)
    return dag


def broken_dag(name: str, fault: str) -> DAG:
    """Stands for a dataset whose entry is wrong, so that the fault is seen where people look."""
    dag_id = name
    if not is_name(name):  # the name is the fault: no dataset's, and no other fault's either
        letters = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:63]
        dag_id = f"{letters}.{zlib.crc32(name.encode(errors='backslashreplace')):08x}"
    with DAG(
        dag_id=dag_id,
        schedule=None,
        description=fault,
        doc_md=f"## Not ready\n\n{fault}\n",
        tags={"proofmint", "broken"},
        auto_register=False,
    ) as dag:
        ExplainOperator(task_id="explain", fault=fault)
    return dag


def dag_of(name: str, found: Dataset | PipelineError) -> DAG:
    """The DAG of one entry of params.yaml; whatever is wrong with it stops no other DAG."""
    if isinstance(found, PipelineError):
        return broken_dag(name, str(found))
    try:
        dag = dataset_dag(found)
        dag.validate()  # else Airflow does, and leaves out all that follow: of a wrong schedule, e.g.
    except Exception as error:  # whatever it is, the other datasets go on
        schedule = found.params.get("schedule")
        fault = (
            f"datasets.{name} in params.yaml: expected what Airflow can make a DAG of, such as a cron"
            f" expression as schedule, found {schedule!r} there; Airflow says: {error}"
        )
        return broken_dag(name, fault)
    return dag


for _name, _found in load_each(PROJECT).items():
    # Airflow finds a DAG under any name, and this is none of Python's, which a dataset might have.
    globals()[f"dag {_name}"] = dag_of(_name, _found)
