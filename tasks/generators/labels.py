"""Which labels a sample of images or texts is drawn for."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from tasks.encoding.labels import Labels
from tasks.errors import DataError, TrainingError
from tasks.generators.layers import choose, stratified


def draw_labels(
    labels: Labels, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None
) -> Tensor:
    """(n,) int64 indices: those that are held, else drawn by their shares in training.

    Args:
        labels: all of them.
        n: rows to draw.
        rng: all randomness comes from it; its device is the result's.
        conditions: as `DataGenerator.sample` takes them.

    Raises:
        TrainingError: another column is held, or a label that is not published.
    """
    held = _held(labels, conditions or {})
    if held is None:
        shares = torch.from_numpy(labels.shares).to(rng.device)
        return choose(shares.expand(n, -1), stratified(n, rng))
    return torch.tensor(held, device=rng.device).expand(n)


def _held(labels: Labels, conditions: Mapping[str, Any]) -> int | list[int] | None:
    target = labels.column.name if labels.column else None
    if others := [name for name in conditions if name != target]:
        raise TrainingError(
            f"expected conditions on {target!r} alone, found {others}: nothing else about an"
            " image or a text can be held"
            if target
            else f"expected no conditions, as there are no labels, found {others}"
        )
    if not conditions:
        return None
    values = conditions[str(target)]
    try:
        if isinstance(values, pa.Array | list):
            found = values.to_pylist() if isinstance(values, pa.Array) else values
            known = {value: labels.index(value) for value in dict.fromkeys(found)}
            return [known[value] for value in found]
        return labels.index(values)
    except DataError as error:
        raise TrainingError(f"impossible condition on {target!r}: {error}") from error
