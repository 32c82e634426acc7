"""Network layers that several generators share."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class BlockMaskedLinear(nn.Module):
    """A linear map between vectors cut into blocks, in which block j sees the blocks up to j.

    The masked connections of MADE, with a block of units for each variable instead of single ones.

    Source: Germain et al. 2015, MADE, section 4, arXiv:1502.03509.

    Args:
        in_sizes: units of each input block, J of them.
        out_size: units of every output block.
        strict: block j sees the blocks before j only, not block j itself.

    Shape:
        input: (B, sum(in_sizes)) float.
        output: (B, J * out_size) float.
    """

    mask: Tensor

    def __init__(self, in_sizes: list[int], out_size: int, strict: bool) -> None:
        super().__init__()
        self.out_size = out_size
        ends = [0]
        for size in in_sizes:
            ends.append(ends[-1] + size)
        self.visible = [ends[j] if strict else ends[j + 1] for j in range(len(in_sizes))]
        mask = torch.zeros(len(in_sizes), out_size, ends[-1])
        weight = torch.zeros_like(mask)
        for j, width in enumerate(self.visible):
            mask[j, :, :width] = 1.0
            bound = 1.0 / math.sqrt(max(width, 1))
            weight[j, :, :width].uniform_(-bound, bound)
        self.weight = nn.Parameter(weight.flatten(0, 1))
        self.bias = nn.Parameter(torch.zeros(len(in_sizes) * out_size))
        self.register_buffer("mask", mask.flatten(0, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.mask, self.bias)

    def block(self, x: Tensor, j: int) -> Tensor:
        """Output block `j` alone: (B, out_size); of `x`, only the blocks that it sees are read."""
        rows = slice(j * self.out_size, (j + 1) * self.out_size)
        width = self.visible[j]
        return functional.linear(x[:, :width], self.weight[rows, :width], self.bias[rows])
