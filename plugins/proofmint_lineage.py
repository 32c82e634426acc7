"""OpenLineage: what each task of a dataset read and made, told to whatever Airflow is set up to tell.

Airflow's provider sends the events; without a transport in its settings nothing here runs.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from tasks.lineage import Lineage, Node


class DatasetLineage:
    """A part of operators of one dataset: the three methods that Airflow's provider looks for.

    The facts are collected while the task's worktree is open; the provider asks when it may be gone.
    """

    project: str
    dataset: str
    task_id: str
    log: Any
    _found: "Lineage | None" = None
    _since: float = 0.0

    def source_address(self) -> str | None:
        """What the connection of the source holds, of a task that reads it."""
        return None

    @contextlib.contextmanager
    def observed(self, root: Path) -> Iterator[Path]:
        """The folder in which the task works; when the block ends, what was done there is noted."""
        self._found, self._since = None, time.time()
        try:
            yield root
        except Exception:
            self._observe(root, failed=True)
            raise
        self._observe(root, failed=False)

    def get_openlineage_facets_on_start(self) -> "OperatorLineage":
        """Nothing yet: which digests are read is known at the end."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        return OperatorLineage()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> "OperatorLineage":
        """What was read and made; of a gate that refused, which expectations did not hold."""
        del task_instance
        if self._found is None:
            return self.get_openlineage_facets_on_start()
        return _operator_lineage(self._found)

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete

    def _observe(self, root: Path, *, failed: bool) -> None:
        from airflow.providers.openlineage import conf

        if conf.is_disabled():
            return
        try:
            self._found = self._lineage(root, conf.namespace(), failed=failed)
        except Exception as error:  # a task never fails because of what is told about it
            self.log.warning("the lineage of this task is not known: %s", type(error).__name__)

    def _lineage(self, root: Path, namespace: str, *, failed: bool) -> "Lineage | None":
        from tasks import lineage
        from tasks.workspace import state_of

        if (stage := getattr(self, "stage", None)) is not None:
            state, connection = state_of(Path(self.project)), getattr(self, "connection", None)
            kept = lineage.kept_address(state, connection) if connection else None
            return lineage.of_stage(
                root,
                self.dataset,
                stage,
                namespace,
                address=self.source_address() or kept,
                refusals=state / "refusals" if failed else None,
                since=self._since,
            )
        if self.task_id != "release":
            return None
        version = None if failed else _version(root, self.dataset)
        return lineage.of_release(root, self.dataset, namespace, version)


def _version(root: Path, dataset: str) -> str | None:
    """The version that the run made; None: it was unchanged."""
    place = root / ".dvc" / "tmp" / f"release-{dataset}.json"
    outcome: Mapping[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return str(outcome["version"]) if outcome["new"] else None


def _operator_lineage(found: "Lineage") -> "OperatorLineage":
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics
    from openlineage.client.facet_v2 import source_code_location_job

    url = found.repository or "git"
    return OperatorLineage(
        inputs=[
            InputDataset(
                node.namespace, node.name, facets=_facets(node), inputFacets=_input_facets(node)
            )
            for node in found.inputs
        ],
        outputs=[
            OutputDataset(
                node.namespace,
                node.name,
                facets=_facets(node),
                outputFacets={
                    "outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(
                        rowCount=node.n_rows, size=node.n_bytes, fileCount=node.n_files
                    )
                },
            )
            for node in found.outputs
        ],
        job_facets={
            "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet(
                type="git", url=url, repoUrl=url, path="dvc.yaml", version=found.commit
            )
        },
    )


def _facets(node: "Node") -> dict[str, Any]:
    """What is true of a dataset, whoever reads or writes it."""
    from openlineage.client.facet_v2 import (
        dataset_version_dataset,
        datasource_dataset,
        schema_dataset,
        tags_dataset,
    )

    def field(column: Any) -> schema_dataset.SchemaDatasetFacetFields:
        return schema_dataset.SchemaDatasetFacetFields(
            column.name, column.type, fields=[field(inner) for inner in column.fields]
        )

    facets: dict[str, Any] = {
        "dataSource": datasource_dataset.DatasourceDatasetFacet(node.namespace, node.namespace)
    }
    if node.version:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(node.version)
    if node.fields:
        facets["schema"] = schema_dataset.SchemaDatasetFacet([field(one) for one in node.fields])
    personal = [one for f in node.fields for one in (f, *f.fields) if one.personal]
    if personal:
        facets["tags"] = tags_dataset.TagsDatasetFacet(
            [
                tags_dataset.TagsDatasetFacetFields("personal", "true", "INTEGRATION", one.name)
                for one in personal
            ]
        )
    return facets


def _input_facets(node: "Node") -> dict[str, Any]:
    """How good what was read is: its size, and what its gate expected of it."""
    from openlineage.client.facet_v2 import (
        data_quality_assertions_dataset,
        data_quality_metrics_input_dataset,
    )

    facets: dict[str, Any] = {}
    if node.n_rows is not None or node.n_bytes is not None:
        metrics = data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
            columnMetrics={}, rowCount=node.n_rows, bytes=node.n_bytes, fileCount=node.n_files
        )
        facets["dataQualityMetrics"] = metrics
    if node.assertions:
        checks = [
            data_quality_assertions_dataset.Assertion(
                one.kind, one.passed, column=one.target or None, severity="error"
            )
            for one in node.assertions
        ]
        facets["dataQualityAssertions"] = (
            data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(checks)
        )
    return facets
