"""Texts that are written along a tree of known words."""

import torch
from torch import Tensor, nn

from tasks.encoding.text_pieces import END
from tasks.encoding.text_words import WordTree


class Spelling(nn.Module):
    """Which tokens may come next. Where a text stands is a node of the tree; it begins at node 0.

    Its buffers move with the model, and are no part of its weights.
    """

    branches: Tensor
    tokens: Tensor
    targets: Tensor
    first: Tensor
    signs: Tensor
    starts: Tensor

    def __init__(self, tree: WordTree) -> None:
        super().__init__()
        n_tokens = tree.starts.shape[1]
        branches = torch.from_numpy(tree.branches)
        nodes = torch.arange(len(tree.signs) + 1)
        buffers = {
            "branches": branches,
            "tokens": branches % n_tokens,
            "targets": torch.from_numpy(tree.targets),
            # The branches of a node lie between its number and the next one's.
            "first": torch.searchsorted(branches, nodes * n_tokens),
            "signs": torch.from_numpy(tree.signs),
            "starts": torch.from_numpy(tree.starts),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    def allowed(self, nodes: Tensor) -> Tensor:
        """(A, V) bool: what goes on with the word, or comes after it, at these nodes (A,) int64."""
        allowed = self.starts[self.signs[nodes]]
        counts = (self.first[nodes + 1] - self.first[nodes]) * (nodes != 0)
        rows = torch.arange(len(nodes), device=nodes.device).repeat_interleave(counts)
        before = counts.cumsum(0) - counts
        places = torch.arange(len(rows), device=nodes.device) - before[rows]
        allowed[rows, self.tokens[self.first[nodes][rows] + places]] = True
        return allowed

    def after(self, nodes: Tensor, chosen: Tensor) -> Tensor:
        """(A,) int64 nodes after these tokens; of a text that has ended, node 0."""
        n_tokens = self.starts.shape[1]
        keys = nodes * n_tokens + chosen
        places = torch.searchsorted(self.branches, keys).clamp(max=len(self.branches) - 1)
        goes_on = self.branches[places] == keys
        places = torch.where(goes_on, places, torch.searchsorted(self.branches, chosen))
        places = places.clamp(max=len(self.branches) - 1)
        return torch.where(chosen == END, 0, self.targets[places])
