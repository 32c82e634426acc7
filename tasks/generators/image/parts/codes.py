"""The density of codes of images, from which new codes are drawn: mixtures of Gaussians by label."""

import math

import torch
from torch import Tensor, nn

from tasks.generators.layers import LOG_SQRT_2PI

LOG_PRECISIONS = (-2.0, 3.0)
"""Of the diagonal of a Gaussian's factor: narrower ones would only be drawn around single images."""


class LabelledMixture(nn.Module):
    """p(z | y): for each label a mixture of M Gaussians with covariances of their own.

    A Gaussian is kept as its mean m and a lower triangular A: A (z - m) is standard normal, so that
    the precision matrix is A^T A.

    Source: Williams 1996, Using neural networks to model conditional multivariate densities, section
        3.1, doi:10.1162/neco.1996.8.4.843.

    Args:
        n_labels: K.
        size: D, numbers of a code.
        components: M.

    Shape:
        input: codes (B, D) float and labels (B,) int64.
        output: (B,) float, log density in nats.
    """

    def __init__(self, n_labels: int, size: int, components: int) -> None:
        super().__init__()
        self.size = size
        self.split = nn.Unflatten(1, (components, size))
        self.logits = nn.Embedding(n_labels, components)
        self.means = nn.Embedding(n_labels, components * size)
        self.log_precisions = nn.Embedding(n_labels, components * size)
        self.factors = nn.Embedding(n_labels, components * size * size)
        nn.init.normal_(self.means.weight, std=0.5)
        for table in (self.logits, self.log_precisions, self.factors):
            nn.init.zeros_(table.weight)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """The log density of each code given its label."""
        # Made once a label, not once a row.
        every = torch.arange(self.logits.num_embeddings, device=codes.device)
        means, factors, log_diagonals = self._gaussians(every)
        offsets = codes[:, None] - means[labels]
        white = torch.einsum("bmij,bmj->bmi", factors[labels], offsets)
        logs = log_diagonals.sum(dim=2)[labels] - 0.5 * white.square().sum(dim=2)
        shares = self.logits(labels).log_softmax(dim=1)
        return torch.logsumexp(shares + logs, dim=1) - self.size * LOG_SQRT_2PI

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """(B, D) codes, all randomness from `rng`."""
        shares = self.logits(labels).softmax(dim=1)
        chosen = torch.multinomial(shares, 1, generator=rng)[:, 0]
        rows = torch.arange(len(labels), device=labels.device)
        means, factors, _ = (part[rows, chosen] for part in self._gaussians(labels))
        noise = torch.randn((len(labels), self.size, 1), generator=rng, device=labels.device)
        spread: Tensor = torch.linalg.solve_triangular(factors, noise, upper=False)
        return means + spread[:, :, 0]

    def _gaussians(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means (B, M, D), factors (B, M, D, D) and the logs of their diagonals (B, M, D)."""
        means = self.split(self.means(labels))
        log_diagonals = self.split(self.log_precisions(labels)).clamp(*LOG_PRECISIONS)
        below = self.factors(labels).unflatten(1, (-1, self.size, self.size)).tril(-1)
        # So that all entries of a row together weigh about as much as the diagonal.
        below = below / math.sqrt(self.size)
        return means, below + log_diagonals.exp().diag_embed(), log_diagonals
