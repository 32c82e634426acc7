"""How torch computes."""

import torch

from tasks.training.device import gainful_threads


def test_threads_would_wait_for_each_other_over_few_pixels() -> None:
    labels = torch.zeros(5, dtype=torch.uint8)
    digits, larger = torch.zeros(5, 1, 8, 8), torch.zeros(5, 3, 16, 16)
    assert gainful_threads(4, "image", {"pixels": digits, "labels": labels}) == 1
    assert gainful_threads(4, "text", {"tokens": labels[:, None]}) == 1
    # 256 pixels are enough for several, whatever their channels.
    assert gainful_threads(4, "image", {"pixels": larger, "labels": labels}) == 4
    assert gainful_threads(4, "tabular", {"numbers": torch.zeros(5, 3), "labels": labels}) == 4
