"""`proofmint add SOURCE --name NAME`: a new dataset in one command, for review.

The source is read whole into a folder of its own, profiled and cleaned there, and the suites of the
gates are learned from it. Only when all of that went well, the entry of params.yaml and the suites
are written; nothing that is there already is ever changed.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tasks import registry
from tasks.commands.demo_source import set_variable
from tasks.commands.learn import release_suite, suite_of
from tasks.commands.origins import Origin, origin_of
from tasks.commands.profile import (
    connected,
    draft_of,
    entry_of,
    params_of,
    print_profile,
    profile_of,
)
from tasks.encoding.columns.base import COMMON_ROWS
from tasks.encoding.columns.categorical import SUPPRESSED
from tasks.errors import ParamsError, WorkspaceError
from tasks.gates.learn.files import write_text
from tasks.params import PARAMS_FILE, DatasetParams, parse, read_yaml
from tasks.partitions import base_of, key_of
from tasks.pipeline import MAINTENANCE, is_name
from tasks.privacy.pii.actions import proposed
from tasks.schema import SCHEMA_FILE, DatasetSchema
from tasks.sources._between import check_schema
from tasks.stages.clean import clean
from tasks.stages.ingest import ingest
from tasks.storage import read_batches
from tasks.workspace import Layout, project_of, state_of

FORM = ("width", "height", "mode")
"""The columns of a table of images that tell their form."""


def add(
    given: str,
    root: Path,
    *,
    name: str,
    tables: Sequence[str] = (),
    query: str | None = None,
    target: str | None = None,
    settings: Sequence[str] = (),
    partition: str | None = None,
) -> int:
    """Set a dataset up from its source.

    Args:
        given: a database's URL, the name of a variable that holds one, a path, a glob, a folder, or
            a URL of files.
        root: holds params.yaml and great_expectations/.
        name: of the dataset.
        tables: of a database, the one with the target first.
        query: of a database, in place of tables.
        target: column that a model would predict.
        settings: `KEY=VALUE` of the source.
        partition: `COLUMN:BY`, by day, week, month or year; None: each run is of all rows.

    Raises:
        ParamsError: the name is taken or cannot be one, or the arguments do not fit together.
        SourceError: the source cannot be read.
        DataError: the data is too small to learn from.
    """
    at = Layout(root, name)
    _check_free(root, name, at)
    project = project_of(root)
    origin = origin_of(given, name, project, tables=tables, query=query, settings=settings)
    if not registry.names(f"tasks.generators.{origin.kind}"):
        raise ParamsError(
            f"there is no generator of {origin.kind} yet; `proofmint profile {given}` shows the data"
        )
    if origin.connection is None and origin.has_secret:
        raise ParamsError(
            f"the URL holds a password or a key, and {PARAMS_FILE}, which git sees, would keep it; give"
            " the URL without it, and --set connection=NAME, the variable or Airflow connection that"
            " holds it (docs/loading.md)"
        )
    entry = entry_of(origin, target)
    if partition is not None:
        column, _, by = partition.rpartition(":")
        entry["partition"] = {"column": column, "by": by}
    with draft_of(project) as draft, connected(origin):
        params = params_of(name, origin, entry)
        ingest(draft / "raw", params, project=project)
        schema = DatasetSchema.load(draft / "raw")
        if params.partition is not None:
            check_schema(schema, params.partition.column)
        print_profile(profile_of(draft / "raw", params))
        _tell_of_texts(schema)
        _check_pairs(schema)
        entry["clean"] = _cleaning(schema) | _common_form(draft / "raw", schema)
        entry["publish"] = _publishing(name, schema)
        params = params_of(name, origin, entry)
        clean(draft / "raw", draft / "clean", params, state=state_of(project))
        suites = _suites(draft, at, params)
    _write(root, name, entry, suites)
    _tell(root, name, origin, project, suites, n_tables=len(schema.tables))
    key = "" if partition is None else " --partition KEY"
    print(f"Then commit, and `proofmint run {name}{key}`.")
    return 0


def _tell_of_texts(schema: DatasetSchema) -> None:
    """Say what becomes of free text in a table."""
    texts = [c.name for c in schema.main.columns if c.meaning == "text"]
    if schema.kind == "tabular" and texts:
        print(
            f"\nFree text ({', '.join(texts)}) is not learned in a table: what fewer than {COMMON_ROWS}"
            f" rows have becomes {SUPPRESSED}.\nTo learn texts, give a file of two columns, the texts"
            " and their labels, with --set kind=text\n--set type=text --set column=NAME where they"
            " are not recognised; or take the column out by clean.drop_columns."
        )


def _check_pairs(schema: DatasetSchema) -> None:
    """Refuse rows of images and texts now that no generator would take later."""
    if schema.kind == "multimodal":
        from tasks.encoding.multimodal import label_columns

        label_columns(schema)


def _check_free(root: Path, name: str, at: Layout) -> None:
    if not is_name(name):
        raise ParamsError(
            "expected --name of small letters, digits and _, beginning with a letter, and not"
            f" {MAINTENANCE}; found {name!r}"
        )
    if key_of(name) is not None:
        raise ParamsError(
            f"expected --name of a dataset; found {name!r}, which is that of a partition of"
            f" {base_of(name)!r}"
        )
    datasets = read_yaml(root / PARAMS_FILE).get("datasets")
    if not isinstance(datasets, dict):
        raise ParamsError(f"expected `datasets:` in {root / PARAMS_FILE} to hold datasets by name")
    if name in datasets:
        raise ParamsError(
            f"{PARAMS_FILE} has a dataset {name!r} already, and it is left as it is; choose another"
            " --name, or take its entry and its suites out first"
        )
    if taken := [str(p.relative_to(root)) for p in at.suites if p.exists()]:
        raise ParamsError(
            f"{', '.join(taken)} exist already and are left as they are; move them away"
        )


def _cleaning(schema: DatasetSchema) -> dict[str, Any]:
    """What is to be done with columns of personal data, for a person to confirm."""
    decisions = {
        (c.name if table is schema.main else f"{table.name}.{c.name}"): proposed(c)
        for table in schema.tables
        for c in table.columns
        if c.personal
    }
    return {"personal": decisions} if decisions else {}


def _common_form(raw: Path, schema: DatasetSchema) -> dict[str, Any]:
    """The form that all images are to take, the commonest, where they have several."""
    if not {"image", *FORM} <= set(schema.main.column_names):
        return {}
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    for batch in read_batches(raw, schema.main.name, list(FORM)):
        width, height, mode = (column.to_pylist() for column in batch.columns)
        sizes.update(zip(width, height, strict=True))
        modes.update(mode)
    form: dict[str, Any] = {}
    if len(sizes) > 1:
        form["size"] = list(_commonest(sizes))
    if len(modes) > 1:
        form["mode"] = _commonest(modes)
    if not form:
        return {}
    print(
        f"\nThe images differ in {' and '.join(form)}, and generators take one: `clean.images` brings"
        f" all\nto the commonest, {form}; docs/cleaning.md tells of others."
    )
    return {"images": form}


def _commonest(counted: Counter[Any]) -> Any:
    """Of equally common ones the largest, whatever their order in the source."""
    return max(counted, key=lambda found: (counted[found], found))


def _publishing(name: str, schema: DatasetSchema) -> dict[str, Any]:
    tables = ", ".join(table.name for table in schema.tables)
    return {
        "title": f"{name.replace('_', ' ').capitalize()}, synthetic",
        "description": f"Synthetic rows like those of {tables}.",
        "license": "LicenseRef-unstated",
    }


def _suites(draft: Path, at: Layout, params: DatasetParams) -> dict[Path, str]:
    """The texts of the suites by their place."""
    texts = {
        at.suite(point): suite_of(point, draft / point, at.suite(point).stem, params)[0]
        for point in ("raw", "clean")
        if (draft / point / SCHEMA_FILE).exists()
    }
    release = at.suite("release")
    return texts | {release: release_suite(release.stem, params)}


def _write(root: Path, name: str, entry: dict[str, Any], suites: dict[Path, str]) -> None:
    """Write the suites, and then what makes the dataset exist: its entry."""
    place = root / PARAMS_FILE
    before = place.read_bytes().decode()  # with its own ends of lines
    after = with_entry(before, name, entry)
    written: list[Path] = []
    try:
        for path, text in suites.items():
            written.append(path)
            write_text(path, text)
        write_text(place, after)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise WorkspaceError(f"cannot write {error.filename}: {error.strerror}") from error


def with_entry(text: str, name: str, entry: dict[str, Any]) -> str:
    """The text of params.yaml with one dataset more, and no other change.

    Raises:
        ParamsError: there is no place for it that leaves everything else as it is.
    """
    top: Any = yaml.compose(text)
    (node,) = (value for key, value in top.value if key.value == "datasets")
    written = yaml.safe_dump(
        {name: entry}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    if node.flow_style or not node.value:
        raise ParamsError(
            f"expected `datasets:` in {PARAMS_FILE} to hold its datasets in lines of their own; add"
            f" this entry by hand:\n{written}"
        )
    step = " " * node.value[0][0].start_mark.column
    lines = text.splitlines(keepends=True)
    # The end of a block is where the next token is, behind the comments about what follows.
    last = _last_line(node, lines)
    end = "\r\n" if "\r\n" in text else "\n"
    if not lines[last].endswith("\n"):
        lines[last] += end
    added = [end, *(f"{step}{line}{end}" for line in written.splitlines())]
    changed = "".join([*lines[: last + 1], *added, *lines[last + 1 :]])
    expected = yaml.safe_load(text)
    expected["datasets"] |= {name: entry}
    if yaml.safe_load(changed) != expected:
        raise ParamsError(f"cannot add to {PARAMS_FILE} as it is laid out; add by hand:\n{written}")
    parse({"datasets": {name: expected["datasets"][name]}}, PARAMS_FILE)
    return changed


def _last_line(node: yaml.Node, lines: list[str]) -> int:
    """The last line of a block that is neither empty nor a comment."""
    last = min(node.end_mark.line, len(lines) - 1)
    if node.end_mark.line < len(lines) and node.end_mark.column == 0:
        last -= 1
    while last > 0 and (not lines[last].strip() or lines[last].lstrip().startswith("#")):
        last -= 1
    return last


def _tell(
    root: Path,
    name: str,
    origin: Origin,
    project: Path,
    suites: dict[Path, str],
    *,
    n_tables: int,
) -> None:
    print(f"\nadded {name!r} to {PARAMS_FILE}, with its gates:")
    for path in suites:
        print(f"  {path.relative_to(root)}")
    if origin.connection is not None:
        variable, url = origin.connection
        if origin.has_secret:
            print(
                f"\nThe URL holds a password, so it is stored nowhere: set {variable} to it where the"
                f" pipeline runs\n(the environment, or an Airflow connection {variable.lower()})."
            )
        else:
            set_variable(state_of(project), variable, url)
            print(f"\n{variable} is set in .proofmint/env, which git never sees.")
    if n_tables > 1:
        print(
            "\nGenerators model one table yet: of linked tables the pipeline loads, checks, cleans and"
            " splits\nall, and then stops. Name one with --table, or join them with --query."
        )
    print(
        "\nReview what was found, decided and learned: `git diff`, and docs/gates.md for the suites."
        f"\n  {PARAMS_FILE}: the target, what happens to personal columns, licence and description"
    )
