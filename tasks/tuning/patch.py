"""The best settings as a patch of params.yaml, for a person to review and `git apply`."""

import difflib
import io
import re
import subprocess
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from tasks.errors import WorkspaceError


def params_patch(text: str, dataset: str, settings: Mapping[str, Any], path: str) -> str:
    """A unified diff that writes `settings` into the entry of a dataset and changes nothing else.

    Args:
        text: of params.yaml.
        dataset: an entry under `datasets:` that is known to be valid.
        settings: values by name, such as `train.learning_rate`.
        path: of params.yaml from the root of the repository, as git wants it.
    """
    before, after = text.splitlines(keepends=True), _changed(text, dataset, settings)
    lines = difflib.unified_diff(before, after.splitlines(keepends=True), f"a/{path}", f"b/{path}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _changed(text: str, dataset: str, settings: Mapping[str, Any]) -> str:
    """The text with the settings in it.

    ruamel keeps comments, but it lays some lines out anew. Those are not ours to change: a
    three-way merge takes from its output only what differs because of the settings.
    """
    plain, changed = (_written(text, dataset, said) for said in ({}, settings))
    return _merged(text, plain, changed)


def _written(text: str, dataset: str, settings: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    step = _indentation(text)
    yaml.indent(mapping=step, sequence=step + 2, offset=step)
    content = yaml.load(text)
    entry = content["datasets"][dataset]
    for name, value in settings.items():
        section, _, key = name.partition(".")
        if not entry[section]:
            # A section `{}` grows into lines of its own, which are easier to review.
            entry[section] = CommentedMap()
        entry[section][key] = _scalar(value)
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def _indentation(text: str) -> int:
    """Spaces before the names of the datasets, which the rest of the file usually follows."""
    found = re.search(r"^datasets:.*\n(?:\s*#.*\n|\s*\n)*?( +)[^\s#]", text, re.MULTILINE)
    return len(found[1]) if found else 2


def _scalar(value: Any) -> Any:
    """Floats in plain decimals: PyYAML, which reads the file, takes `5e-05` for a text."""
    if not isinstance(value, float):
        return value
    return YAML().load(format(Decimal(repr(value)), "f"))


def _merged(ours: str, base: str, theirs: str) -> str:
    """`ours` with the changes from `base` to `theirs`; theirs win where both differ."""
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("ours", "base", "theirs")]
        for place, content in zip(places, (ours, base, theirs), strict=True):
            place.write_text(content, encoding="utf-8", newline="")
        done = subprocess.run(
            ["git", "merge-file", "--stdout", "--theirs", *map(str, places)],
            capture_output=True,
            check=False,
        )
    if done.returncode != 0:
        raise WorkspaceError(f"git merge-file failed: {done.stderr.decode().strip()}")
    return done.stdout.decode("utf-8")
