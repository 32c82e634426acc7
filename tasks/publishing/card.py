"""`README.md`: the Hugging Face dataset card of a release, with a datasheet made from its evidence.

Source:
    Front matter: huggingface/hub-docs, `datasetcard.md`.
    Datasheet: T. Gebru et al., "Datasheets for Datasets", arXiv:1803.09010.
"""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.publishing.evidence import Evidence
from tasks.publishing.licences import hub_licence
from tasks.publishing.tables import ReleasedTable, hugging_face_type
from tasks.publishing.wording import bounds_in_words, number, plain

CARD_FILE = "README.md"

_TEMPLATES = Path(__file__).parent / "templates"


def card(evidence: Evidence) -> str:
    """The text of the card: YAML front matter, then Markdown."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        # The result is Markdown, where `plain` does the escaping.
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.filters |= {"plain": plain, "number": number, "bounds": bounds_in_words}
    header = yaml.safe_dump(front_matter(evidence), sort_keys=False, allow_unicode=True, width=100)
    body = environment.get_template("card.md.j2").render(
        e=evidence, publish=evidence.params.publish
    )
    return f"---\n{header}---\n\n{body}"


def front_matter(evidence: Evidence) -> dict[str, Any]:
    """What the Hugging Face Hub and `datasets` read of a card."""
    single = len(evidence.tables) == 1
    infos = [_dataset_info(table, single=single) for table in evidence.tables]
    return {
        "pretty_name": evidence.params.publish.title,
        **hub_licence(evidence.params.publish.license),
        "annotations_creators": ["machine-generated"],
        "source_datasets": ["extended"],
        "task_categories": _task_categories(evidence),
        "size_categories": [_size_category(evidence.n_rows)],
        "tags": ["synthetic", evidence.params.kind, "proofmint"],
        "configs": [
            {
                "config_name": "default" if single else table.slug,
                "data_files": [{"split": "train", "path": f"{table.folder}/*.parquet"}],
                **({"default": True} if table is evidence.tables[0] and not single else {}),
            }
            for table in evidence.tables
        ],
        "dataset_info": infos[0] if single else infos,
    }


def _dataset_info(table: ReleasedTable, *, single: bool) -> dict[str, Any]:
    size_bytes = sum(shard.size_bytes for shard in table.shards)
    return {
        "config_name": "default" if single else table.slug,
        "features": [
            {"name": column.name, "dtype": hugging_face_type(column)}
            for column in table.schema.columns
        ],
        "splits": [{"name": "train", "num_bytes": size_bytes, "num_examples": table.n_rows}],
        "download_size": size_bytes,
        "dataset_size": size_bytes,
    }


def _task_categories(evidence: Evidence) -> list[str]:
    schema = evidence.schema
    if schema.target is None:
        return {
            "tabular": ["tabular-classification", "tabular-regression"],
            "image": ["unconditional-image-generation"],
            "text": ["text-generation"],
            "multimodal": ["text-to-image"],
        }[schema.kind]
    if schema.kind == "tabular" and schema.main.column(schema.target).meaning == "numeric":
        return ["tabular-regression"]
    kind = "image" if schema.kind == "multimodal" else schema.kind
    return [f"{kind}-classification"]


def _size_category(n_rows: int) -> str:
    limits = {10**3: "1K", 10**4: "10K", 10**5: "100K", 10**6: "1M", 10**7: "10M", 10**8: "100M"}
    below = "n"
    for limit, name in limits.items():
        if n_rows < limit:
            return f"n<{name}" if below == "n" else f"{below}<n<{name}"
        below = name
    return "n>100M"
