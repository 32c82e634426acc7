"""A diffusion model of the rows of a table: noise on scores, masks on tokens, undone together.

    t = 1: every token masked, every score noise
      │   at each step a network sees the noisy row and says what each masked token may be and
      │   what each score is without its noise; some tokens are drawn, all scores move
      ▼
    t = 0: a row

In a share of the training rows, cells chosen at random are given without noise. So the network also
learns every column given any others, and any set of columns can be held exactly, without rejection.

Source:
    Shi et al. 2025, TabDiff, arXiv:2410.20626: one time for Gaussian noise on numbers and masks on
    categories. Noise, preconditioning and weights: Karras et al. 2022, EDM, arXiv:2206.00364. Masks:
    Sahoo et al. 2024, arXiv:2406.07524. Solver: Lu et al. 2022, DPM-Solver++, arXiv:2211.01095.
    Cells that are given: Tashiro et al. 2021, CSDI, arXiv:2107.03502.
Differs:
    From TabDiff: one noise schedule for all columns, because all scores are normally distributed; a
    residual network in place of a transformer, which a processor trains in minutes. From TabDDPM
    (Kotelnikov et al. 2023, arXiv:2209.15421), whose place it takes: masks in place of noise
    over categories, which need far fewer steps, and few steps in place of 1,000.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.encoding.columns.base import RANK_MARGIN
from tasks.encoding.tabular import TabularEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.layers import choose, stratified
from tasks.generators.tabular.parts.rows import (
    Cells,
    Held,
    ResidualNetwork,
    RowInput,
    Rows,
    as_batch,
    held_columns,
)
from tasks.params import Record
from tasks.schema import DatasetSchema

SIGMA_RANGE = (0.005, 20.0)
"""Standard deviations of the noise at t = 0 and t = 1; scores have the standard deviation 1."""

SIGMA_EXPONENT = 7.0
"""Bends the way between them, so that most steps are at low noise; Karras et al. 2022, table 1."""

MIN_TIME = 0.02
"""Bounds the weight 1 / t of a masked token."""

TIME_FREQUENCIES = 8
"""Sines and cosines of the logarithm of the noise that the network sees."""

HARMONICS = 4
"""Sines and cosines of the rank of a noisy score that the network sees."""

SMALL_TABLE = 2_000
"""Rows below which the network is trained on small batches."""


class TabDiffParams(Record):
    """Settings of `tabdiff`."""

    hidden_units: int = Field(default=256, ge=1, le=8_192, description="units of a layer")
    layers: int = Field(default=4, ge=0, le=32, description="hidden layers after the first")
    embedding_dim: int = Field(default=16, ge=1, le=1_024, description="numbers that tell a token")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of hidden units left out")
    steps: int = Field(default=50, ge=1, le=10_000, description="steps of sampling")
    given_fraction: float = Field(
        default=0.2, ge=0, le=1, description="share of training rows in which some cells are given"
    )


class _Noisy(NamedTuple):
    """Rows on their way; what the network sees."""

    symbols: Tensor
    """(B, S) int64; a masked symbol is its column's number of choices."""
    scores: Tensor
    """(B, R) float, with noise of `sigma` where not `given`."""
    given: Tensor
    """(B, R) 1 where the score is known, 0 where it is noisy."""
    sigma: Tensor
    """(B, 1) standard deviation of the noise."""


class TabDiff(DataGenerator):
    """Rows by masked and Gaussian diffusion; any columns can be held."""

    Params: ClassVar[type[Record]] = TabDiffParams
    encoder_class: ClassVar[type[Encoder]] = TabularEncoder
    supports_dp: ClassVar[bool] = True

    mask_symbols: Tensor
    harmonics: Tensor

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(TabularEncoder, encoder)
        self.settings = cast(TabDiffParams, params)
        self.rows = Rows(self.encoder)
        sizes, n_scores = self.rows.sizes, self.rows.n_scores
        self.register_buffer(
            "mask_symbols", torch.tensor(sizes, dtype=torch.long), persistent=False
        )
        harmonics = math.pi * torch.arange(1, HARMONICS + 1)
        self.register_buffer("harmonics", harmonics, persistent=False)
        hidden = self.settings.hidden_units
        with_mask = [size + 1 for size in sizes]
        n_numbers = (2 + 2 * HARMONICS) * n_scores
        self.input = RowInput(with_mask, n_numbers, self.settings.embedding_dim)
        width = self.input.width + 2 * TIME_FREQUENCIES
        self.network = ResidualNetwork(width, hidden, self.settings.layers, self.settings.dropout)
        self.logits = nn.Linear(hidden, sum(sizes)) if sizes else None
        self.denoised = nn.Linear(hidden, n_scores) if n_scores else None
        for head in (self.logits, self.denoised):
            if head is not None:
                nn.init.zeros_(head.weight)  # it starts as a network that knows nothing
                nn.init.zeros_(head.bias)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """What each row loses at one time, 0 for a network that knows nothing.

        Of tokens, less the logarithm of their number: an estimate of an upper bound of their negative
        log likelihood, in nats (Sahoo et al. 2024, equation 11). Of scores, less what the standard
        normal distribution loses: the squared error of the preconditioned network.
        """
        del objective
        rng = self._rng(batch["rank_low"].device)
        cells = self.rows(batch, _uniform(batch["rank_low"].shape, batch["rank_low"], rng))
        b = len(cells.symbols)
        start = _uniform((1,), cells.scores, rng)
        # Times that cover (0, 1) evenly, each uniform by itself: Kingma et al. 2021,
        # arXiv:2107.00630, appendix I.1.
        places = torch.arange(b, device=cells.scores.device) / b
        t = ((start + places) % 1).clamp(MIN_TIME, 1)[:, None]
        given_symbols, given = self._given(cells, rng)
        masked = (_uniform(cells.symbols.shape, cells.scores, rng) < t) & ~given_symbols
        symbols = torch.where(masked, self.mask_symbols, cells.symbols)
        # A score that its token overrules is noise, so that it tells nothing in sampling either.
        clean = torch.where(cells.present > 0, cells.scores, _normal(cells.scores, rng))
        sigma = noise_level(t)
        noisy = clean + sigma * _normal(clean, rng) * (1 - given)
        logits, errors = self._network(_Noisy(symbols, noisy, given, sigma))
        loss = clean.new_zeros(b)
        if self.logits is not None:
            for s, each in enumerate(torch.split(logits, self.rows.sizes, dim=1)):
                entropy = functional.cross_entropy(each, cells.symbols[:, s], reduction="none")
                gain = math.log(self.rows.sizes[s]) - entropy
                loss = loss - gain * masked[:, s] / t[:, 0]
        if self.denoised is not None:
            skip, out, _ = preconditioning(sigma)
            target = (clean - skip * noisy) / out
            gain = 1 - (errors - target).square()
            loss = loss - (gain * (1 - given)).sum(dim=1)
        return loss

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Undo noise and masks in `steps` steps from t = 1 to t = 0."""
        device = self.mask_symbols.device
        held = held_columns(self.encoder, conditions or {}, n, device)
        known, given, scores = self._known(n, held)
        times = torch.linspace(1, 0, self.settings.steps + 1, dtype=torch.float64).tolist()
        masked = known < 0
        symbols = torch.where(masked, self.mask_symbols, known)
        noise = torch.randn(scores.shape, generator=rng, device=device)
        first = noise_level(torch.tensor(1.0)).item()
        x = torch.where(given > 0, scores, math.sqrt(first**2 + 1) * noise)
        before: tuple[Tensor, float] | None = None
        for t, after in itertools.pairwise(times):
            sigma = noise_level(torch.tensor(t)).item()
            logits, errors = self._network(_Noisy(symbols, x, given, x.new_full((n, 1), sigma)))
            uncovered = masked & (
                torch.rand(symbols.shape, generator=rng, device=device) < (t - after) / t
            )
            symbols = self._draw(symbols, uncovered, logits, rng)
            masked = masked & ~uncovered
            skip, out, _ = preconditioning(torch.tensor(sigma))
            clean = skip * x + out * errors
            lower = noise_level(torch.tensor(after)).item() if after > 0 else 0.0
            step = math.log(sigma / lower) if lower else math.inf
            moved = solver_step(x, clean, before, sigma, lower)
            before = (clean, step)
            x = torch.where(given > 0, scores, moved)
        return as_batch(self.encoder, self.rows.tokens(symbols), torch.special.ndtr(x), held)

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """Chosen on validation rows of adult and magic."""
        del schema
        is_small = n_rows < SMALL_TABLE
        return Recipe(
            epochs=400 if is_small else max(5, min(250, 3_000_000 // n_rows)),
            batch_size=64 if is_small else 512,
            learning_rate=2e-3 if is_small else 4e-3,
            weight_decay=0.01,
            patience=100 if is_small else 30,
            ema_decay=0.998,
        )

    def _network(self, noisy: _Noisy) -> tuple[Tensor, Tensor]:
        """Logits (B, sum(sizes)) of the symbols, and the preconditioned output (B, R)."""
        _, _, scale = preconditioning(noisy.sigma)
        scaled = torch.where(noisy.given > 0, noisy.scores, noisy.scores * scale)
        angles = torch.special.ndtr(scaled)[..., None] * self.harmonics
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
        numbers = torch.cat([scaled, noisy.given, waves], dim=1)
        features = [self.input(noisy.symbols, numbers), _time_features(noisy.sigma)]
        h = self.network(torch.cat(features, dim=1))
        empty = h.new_empty(len(h), 0)
        return (
            empty if self.logits is None else self.logits(h),
            empty if self.denoised is None else self.denoised(h),
        )

    def _given(self, cells: Cells, rng: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Which symbols (B, S) bool and scores (B, R) 0 or 1 the network is given.

        In each row in which anything is given, a column is given with a probability that is drawn
        for the row, so that few and many columns are given equally often.
        """
        n_columns = len(self.encoder.columns)
        draws = _uniform((len(cells.symbols), n_columns + 2), cells.scores, rng)
        any_given = draws[:, :1] < self.settings.given_fraction
        columns = (draws[:, 2:] < draws[:, 1:2]) & any_given
        given = columns[:, self.rows.continuous].to(cells.scores.dtype) * cells.present
        return columns[:, self.rows.column_index], given

    def _known(self, n: int, held: Mapping[int, Held]) -> tuple[Tensor, Tensor, Tensor]:
        """Symbols (n, S), -1 where free; given (n, R); and the scores that are given (n, R)."""
        device = self.mask_symbols.device
        tokens = torch.zeros(n, len(self.encoder.columns), dtype=torch.long, device=device)
        given = torch.zeros(n, self.rows.n_scores, device=device)
        ranks = torch.full_like(given, 0.5)
        for column, cells in held.items():
            tokens[:, column] = cells.tokens
            if column in self.encoder.continuous:
                r = self.encoder.continuous.index(column)
                given[:, r] = (cells.tokens == self.rows.continuous_tokens[r]).to(given.dtype)
                ranks[:, r] = cells.ranks
        symbols = self.rows.symbols(tokens)
        for s, column in enumerate(self.rows.columns):
            if column not in held:
                symbols[:, s] = -1
        ranks = ranks.clamp(RANK_MARGIN, 1 - RANK_MARGIN)
        return symbols, given, torch.special.ndtri(ranks)

    def _draw(
        self, symbols: Tensor, uncovered: Tensor, logits: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The symbols (B, S), with those that are `uncovered` drawn from their logits."""
        drawn = symbols.clone()
        if not self.rows.sizes:
            return drawn
        for s, each in enumerate(torch.split(logits, self.rows.sizes, dim=1)):
            places = uncovered[:, s].nonzero()[:, 0]
            if len(places):
                shares = each[places].softmax(dim=1)
                drawn[places, s] = choose(shares, stratified(len(places), rng))
        return drawn

    def _rng(self, device: torch.device) -> torch.Generator | None:
        """None, torch's own, in training; the same draws for every evaluation."""
        return None if self.training else torch.Generator(device).manual_seed(0)


def noise_level(t: Tensor) -> Tensor:
    """Standard deviation of the noise at times `t` in [0, 1].

    Source: Karras et al. 2022, equation 5, arXiv:2206.00364.
    """
    low, high = (sigma ** (1 / SIGMA_EXPONENT) for sigma in SIGMA_RANGE)
    return cast(Tensor, (low + t * (high - low)) ** SIGMA_EXPONENT)


def preconditioning(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scales of the skipped input, the output and the input of the network, for unit data.

    Source: Karras et al. 2022, table 1, arXiv:2206.00364, with a standard deviation of 1.
    """
    variance = sigma.square() + 1
    return 1 / variance, sigma * variance.rsqrt(), variance.rsqrt()


def solver_step(
    x: Tensor, clean: Tensor, before: tuple[Tensor, float] | None, sigma: float, lower: float
) -> Tensor:
    """Noisy scores at the noise level `lower` from those at `sigma`, to second order.

    Args:
        x: noisy scores (B, R).
        clean: what the network says they are without noise.
        before: what it said one step earlier, and the logarithm of that step's ratio of levels;
            None: in the first step, which is of first order.
        sigma: present noise level.
        lower: next noise level; 0 gives `clean`.

    Source: Lu et al. 2022, DPM-Solver++(2M), algorithm 2, arXiv:2211.01095.
    """
    if lower == 0:
        return clean
    estimate = clean
    if before is not None:
        share = math.log(sigma / lower) / (2 * before[1])
        estimate = (1 + share) * clean - share * before[0]
    return (lower / sigma) * x + (1 - lower / sigma) * estimate


def _time_features(sigma: Tensor) -> Tensor:
    """(B, 2 TIME_FREQUENCIES) from noise levels (B, 1)."""
    frequencies = 2.0 ** torch.arange(-2, TIME_FREQUENCIES - 2, device=sigma.device)
    angles = sigma.log() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _uniform(shape: Any, like: Tensor, rng: torch.Generator | None) -> Tensor:
    return torch.rand(shape, generator=rng, device=like.device)


def _normal(like: Tensor, rng: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=rng, device=like.device)
