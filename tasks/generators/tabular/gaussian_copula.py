"""A Gaussian copula of the columns of a table, in closed form: the baseline.

    a cell ◄─► an interval of its column's distribution ◄─► a normal variable; all of them jointly
               (a point where it is continuous)             normal with one matrix of correlations

Nothing is trained: `CopulaEncoder` counts, and the correlations are solved from mean products. The
one thing that a copula of this kind cannot do is a relation without a direction, such as a
category that goes with middling numbers.

Source:
    Patki et al. 2016, The Synthetic Data Vault, section III, doi:10.1109/DSAA.2016.49. Correlations
    of ordered categories: Olsson 1979, doi:10.1007/BF02296207.
Differs:
    Distributions of columns are empirical. Correlations are those of the latent variables, not of
    numbers drawn inside intervals, which are too small. Categories without an order are ordered
    by how their rows differ. A missing value is a variable of its own.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from tasks.encoding.base import Encoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.tabular.parts.copula import CopulaEncoder, intervals, token_margins
from tasks.generators.tabular.parts.latent import MARGIN
from tasks.generators.tabular.parts.rows import as_batch, held_columns
from tasks.params import Record
from tasks.schema import DatasetSchema

GIBBS_SWEEPS = 20
"""Rounds in which latent variables of several columns that are held are drawn in turn."""

POINT = 1e-9
"""Share of an interval below which its variable is known."""


class GaussianCopulaParams(Record):
    """`gaussian_copula` has no settings."""


class GaussianCopula(DataGenerator):
    """Columns as intervals of jointly normal variables; any columns can be held.

    Several columns of tokens that are held together make the others' distribution approximate: it
    is reached by Gibbs sampling. Everything else is exact for the model.

    L latent variables: one for each column that varies, and one for each in which numbers are
    missing.
    """

    Params: ClassVar[type[Record]] = GaussianCopulaParams
    encoder_class: ClassVar[type[Encoder]] = CopulaEncoder
    learns_in_steps: ClassVar[bool] = False

    correlations: Tensor

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(CopulaEncoder, encoder)
        self.margins = token_margins(self.encoder)
        # Part of the weights, so that a trained model is not only an encoder.
        self.register_buffer("correlations", torch.from_numpy(self.encoder.correlations.copy()))

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """Negative log likelihood of each row; of tokens an estimate that is too large on average.

        Variables are taken one after the other, each drawn inside its interval given those before.

        Source: Geweke 1991, Efficient simulation from the multivariate normal and Student-t
            distributions subject to linear constraints (the GHK simulator).
        """
        del objective
        tokens = batch["tokens"].long()
        ranks = (batch["rank_low"].double() + batch["rank_high"].double()) / 2
        low, high, densities = intervals(self.encoder, self.margins, tokens, ranks)
        factor = torch.linalg.cholesky(self.correlations)
        noise = torch.zeros_like(low)
        total = densities.sum(dim=1)
        for i in range(len(self.margins)):
            mean, spread = noise[:, :i] @ factor[i, :i], factor[i, i]
            share = torch.rand_like(mean) if self.training else torch.full_like(mean, 0.5)
            drawn, log_mass = truncated_normal(mean, spread, low[:, i], high[:, i], share)
            z = torch.special.ndtri(low[:, i].clamp(MARGIN, 1 - MARGIN))
            known = (z - mean) / spread
            log_ratio = 0.5 * (z.square() - known.square()) - spread.log()
            is_point = high[:, i] - low[:, i] <= POINT
            noise[:, i] = torch.where(is_point, known, (drawn - mean) / spread)
            total = total + torch.where(is_point, log_ratio, log_mass)
        return -total.float()

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw the latent variables, given those of columns that are held, and read off the cells."""
        device = self.correlations.device
        held = held_columns(self.encoder, conditions or {}, n, device)
        tokens = torch.zeros(n, len(self.encoder.columns), dtype=torch.long, device=device)
        ranks = torch.full((n, len(self.encoder.continuous)), 0.5, device=device).double()
        as_batch(self.encoder, tokens, ranks, held)
        fixed = [i for i, m in enumerate(self.margins) if m.margin.column in held]
        if fixed:
            low, high, _ = intervals(self.encoder, self.margins, tokens, ranks)
            u = torch.special.ndtr(self._conditional(low[:, fixed], high[:, fixed], fixed, rng))
        else:
            factor = torch.linalg.cholesky(self.correlations)
            u = stratify(_normal((n, len(self.margins)), rng) @ factor.T, rng)
        missing: dict[int, Tensor] = {}
        for i, margin in enumerate(self.margins):
            column = margin.margin.column
            drawn, rank = margin.cells(u[:, i])
            if margin.margin.of_missing:
                missing[column] = drawn
                continue
            tokens[:, column] = drawn
            if margin.margin.continuous_token is not None:
                ranks[:, self.encoder.continuous.index(column)] = rank
        for column, drawn in missing.items():
            # Of the two tokens of such a variable, only the missing one is not 0.
            tokens[:, column] = torch.where(drawn > 0, drawn, tokens[:, column])
        return as_batch(self.encoder, tokens, ranks.float(), held)

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """There is nothing to train: one pass measures the losses."""
        del schema
        return Recipe(
            epochs=1,
            batch_size=max(64, min(4_096, n_rows)),
            learning_rate=1e-3,
            weight_decay=0.0,
            patience=1,
            ema_decay=0.0,
        )

    def _conditional(
        self, low: Tensor, high: Tensor, fixed: list[int], rng: torch.Generator
    ) -> Tensor:
        """(n, L) latent variables, of which those `fixed` are inside their intervals (n, A)."""
        n = len(low)
        free = [i for i in range(len(self.margins)) if i not in fixed]
        own = self.correlations[fixed][:, fixed]
        z = torch.special.ndtri(((low + high) / 2).clamp(MARGIN, 1 - MARGIN))
        open_ones = [a for a in range(len(fixed)) if bool((high[:, a] - low[:, a] > POINT).any())]
        precision = torch.linalg.inv(own)
        for _ in range(GIBBS_SWEEPS if len(open_ones) > 1 else 1):
            for a in open_ones:
                spread = precision[a, a].rsqrt()
                others = z @ precision[a] - z[:, a] * precision[a, a]
                mean = -others / precision[a, a]
                share = torch.rand(n, generator=rng, device=low.device, dtype=low.dtype)
                drawn, _ = truncated_normal(mean, spread, low[:, a], high[:, a], share)
                z[:, a] = torch.where(high[:, a] - low[:, a] > POINT, drawn, z[:, a])
        all_z = z.new_empty(n, len(self.margins))
        all_z[:, fixed] = z
        if free:
            across = self.correlations[free][:, fixed]
            weights = torch.linalg.solve(own, across.T)
            left = self.correlations[free][:, free] - across @ weights
            factor = torch.linalg.cholesky(left + 1e-9 * torch.eye(len(free), device=left.device))
            all_z[:, free] = z @ weights + _normal((n, len(free)), rng) @ factor.T
        return cast(Tensor, all_z)


def stratify(z: Tensor, rng: torch.Generator) -> Tensor:
    """Shares (n, L) in the order of variables z (n, L), one in each of n equal intervals a column.

    So the columns of a sample are as close to their distributions as n numbers can be, and go
    together as before.

    Source: Stein 1987, section 4, doi:10.1080/00401706.1987.10488205.
    """
    order = z.argsort(dim=0).argsort(dim=0)
    inside = torch.rand(z.shape, generator=rng, device=z.device, dtype=z.dtype)
    return (order + inside) / len(z)


def truncated_normal(
    mean: Tensor, spread: Tensor, low: Tensor, high: Tensor, share: Tensor
) -> tuple[Tensor, Tensor]:
    """Normal variables between two quantiles of N(0, 1), and the log of the mass between these.

    By the inverse of the distribution function, in the tail in which it is precise.

    Shape:
        mean: (n,) float64. spread: () their standard deviation.
        low, high: (n,) shares in [0, 1] of N(0, 1), whose quantiles are the bounds.
        share: (n,) in (0, 1), of the mass between the bounds that is below the variable.
        returns: variables and log masses, each (n,).
    """
    below, above = ((torch.special.ndtri(ends) - mean) / spread for ends in (low, high))
    mirrored = below > 0
    first = torch.where(mirrored, -above, below)
    last = torch.where(mirrored, -below, above)
    start, end = torch.special.ndtr(first), torch.special.ndtr(last)
    drawn = (start + (end - start) * share).clamp(1e-300, 1 - 1e-16)
    z = torch.special.ndtri(drawn).clamp(first, last)
    log_mass = (end - start).clamp(min=1e-300).log()
    return mean + spread * torch.where(mirrored, -z, z), log_mass


def _normal(shape: tuple[int, int], rng: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=rng, device=rng.device, dtype=torch.float64)
