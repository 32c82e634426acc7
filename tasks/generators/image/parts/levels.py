"""Levels of pixels <-> numbers from -1 to 1, on which they stand evenly."""

import torch
from torch import Tensor


def scaled_levels(levels: Tensor, n_levels: int) -> Tensor:
    """Level indices (any shape) as float32."""
    return levels * (2 / max(n_levels - 1, 1)) - 1.0


def nearest_levels(numbers: Tensor, n_levels: int) -> Tensor:
    """The nearest level indices, uint8; numbers beyond -1 and 1 take the first and the last."""
    places = (numbers.float() + 1) * ((n_levels - 1) / 2)
    return places.round().clamp(0, n_levels - 1).to(torch.uint8)
