"""An autoregressive model of a table: each column is drawn given the columns before it.

One pass of a network whose layers are masked by blocks, one block a column, gives the
distributions of all columns:

    tokens, normal scores ─► features ─► masked layers ─► a softmax over each column's tokens
             │                                       └──► a mixture of Gaussians for each continuous
             └─► linear regression ─► mean, scale ──────► column's score, standardised

The linear regression of every score on the columns before it is solved exactly from moments that
the encoder has collected; the network learns what it leaves. So a table of few rows starts at a
Gaussian copula, and a large one is not held back by it.

Most steps train the usual order of columns, in which rows are drawn. In the others some columns,
chosen at random, are given: they come first, and what is learned is all others given these. So any
set of columns can be held in `sample`, exactly and without rejection.

Source:
    Masked autoregression: Germain et al. 2015, MADE, arXiv:1502.03509, and Uria et al. 2013, RNADE,
    arXiv:1306.0186. Many orders in one network: Uria et al. 2014, arXiv:1310.1757. Uniform noise
    inside the interval of ranks that a rounded value stands for: Theis et al. 2016, section 3.1,
    arXiv:1511.01844.
Differs:
    A block of hidden units a column in place of masks drawn at random; densities of normal scores
    in place of standardised values; the linear regression; one order is preferred.
"""

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
from tasks.generators.base import EPOCH_ROWS, DataGenerator, Recipe
from tasks.generators.layers import (
    BlockMaskedNetwork,
    MixtureHead,
    choose,
    gaussian_log_density,
    sample_gaussian,
    stratified,
)
from tasks.generators.regression import Regressions, SequentialRegression
from tasks.generators.tabular.parts.places import Places
from tasks.generators.tabular.parts.rows import Held, held_columns
from tasks.params import Record
from tasks.schema import DatasetSchema

HARMONICS = 4
"""Sines and cosines of a rank that later columns see."""

RANK_FEATURES = 3 + 2 * HARMONICS
"""Numbers that tell later columns a continuous cell."""

RIDGE = 0.1
"""Added to the sums of squares of the linear regressions; chosen by validation loss."""

GIVEN_SHARE = 0.2
"""Share of the training steps in which some columns are given. Chosen by validation loss: so many cost
the usual order nothing that can be measured; more help conditions and harm it."""

SMALL_TABLE = 2_000
"""Rows below which the network is small and trained on small batches."""

USUAL_ROWS = 16_000
"""Rows from which a table of mostly densities is learned by the usual network in the usual time. From
fewer rows, a smaller one learns for less long, or it would know them by heart."""

USUAL_ROWS_OF_TOKENS = 30_000
"""The same for a table of mostly tokens."""

ROWS_SEEN = 350_000
"""Rows seen in a training on so many rows, each as often as there are epochs."""

ROWS_OF_TOKENS_SEEN = 250_000
"""The same for a table of mostly tokens, whose shares are learned sooner than densities."""

USUAL_COLUMNS = 20
"""Wider tables are overfitted after fewer rows seen: fewer by the root of how much wider they are."""

MIN_EPOCHS, MAX_EPOCHS = 4, 60

PATIENCE = 0.2
"""Share of the epochs after which a training that no longer gets better is stopped."""

MIN_EVEN_ROWS = 1_000
"""Continuous cells from which on their ranks are evened out in `sample`."""

MAX_WIDTH = 1_024
"""Units of a hidden layer at most, so that time grows with the number of columns, not its square."""

MAX_WIDTH_SMALL = 512
"""The same for a small table."""

MIN_OUT_UNITS = 16
"""Features that tell a column's distribution, at least."""


class AutoregressiveParams(Record):
    """Settings of `autoregressive`."""

    hidden_units: int | None = Field(
        default=None, ge=1, le=1_024, description="units of a column in a layer; null: by size"
    )
    layers: int = Field(default=2, ge=1, le=16, description="hidden layers after the first")
    components: int | None = Field(
        default=None, ge=1, le=256, description="Gaussians a continuous column; null: by size"
    )
    dropout: float | None = Field(
        default=None, ge=0, lt=1, description="share of hidden units left out; null: by size"
    )
    embedding_dim: int = Field(default=16, ge=1, le=1_024, description="numbers that tell a token")


class _Cells(NamedTuple):
    """The cells of continuous columns; R of them in the order of the model, or one (B,)."""

    ranks: Tensor
    """(B, R) in (0, 1)."""
    scores: Tensor
    """(B, R) standard normal quantiles of the ranks; 0 where `present` is 0."""
    residuals: Tensor
    """(B, R) what the linear regression leaves of the scores, standardised."""
    present: Tensor
    """(B, R) 1 where the cell is continuous, 0 where it is told by its token."""


class Autoregressive(DataGenerator):
    """Each column given the columns before it; the target and other columns of tokens come first.

    Conditions may hold any columns that are learned.

    The model's J columns are `Places`; R of them have a continuous part.
    """

    Params: ClassVar[type[Record]] = AutoregressiveParams
    encoder_class: ClassVar[type[Encoder]] = TabularEncoder
    supports_dp: ClassVar[bool] = True

    token_offsets: Tensor
    token_places: Tensor
    feature_order: Tensor
    continuous_places: Tensor

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(TabularEncoder, encoder)
        settings = cast(AutoregressiveParams, params)
        is_small = self.encoder.n_rows < SMALL_TABLE
        self.places = Places(self.encoder)
        self._lay_out(settings.embedding_dim)
        hidden_units, out_units = self._units(settings.hidden_units)
        dropout = self._dropout() if settings.dropout is None else settings.dropout
        self.embedding = nn.Embedding(sum(self.places.n_tokens), settings.embedding_dim)
        self.network = BlockMaskedNetwork(
            self.sizes,
            hidden_units=hidden_units,
            out_units=out_units,
            n_layers=settings.layers,
            dropout=dropout,
        )
        self.token_heads = nn.ModuleDict(
            {str(j): nn.Linear(out_units, n) for j, n in enumerate(self.places.n_tokens) if n > 1}
        )
        self._start_at_the_shares()
        self.regression = SequentialRegression(
            self.encoder.moments,
            self._feature_places(),
            len(self.places.continuous),
            RIDGE / self.encoder.n_rows,
        )
        if self.places.continuous:
            components = settings.components or (8 if is_small else 16)
            self.mixtures = MixtureHead(len(self.places.continuous), out_units, components)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """Negative log likelihood of each row: of tokens, and of the scores of continuous cells."""
        del objective
        tokens = self.places.split(batch["tokens"])
        given = self._given()
        turns = None if given is None else self._turns(given)
        regressions = self._regressions(turns)
        cells = self._continuous_cells(batch, tokens, regressions)
        h = self.network(self._features(tokens, cells), turns)
        loss: Tensor = h.new_zeros(len(tokens))
        for name, head in self.token_heads.items():
            j = int(name)
            if given is None or j not in given:
                nats = functional.cross_entropy(head(h[:, j]), tokens[:, j], reduction="none")
                loss = loss + nats
        if self.places.continuous:
            mixtures = self.mixtures(h[:, self.continuous_places])
            density = gaussian_log_density(cells.residuals, mixtures) - regressions.log_scales
            counted = cells.present
            if given is not None:
                free = [float(j not in given) for j in self.places.continuous]
                counted = counted * torch.tensor(free, device=counted.device)
            loss = loss - (density * counted).sum(dim=1)
        return loss

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw rows column by column, those first that are held; each costs the network one block."""
        weight = self.embedding.weight
        held = held_columns(self.encoder, conditions or {}, n, weight.device)
        given = {j for j, i in enumerate(self.places.columns.tolist()) if i in held}
        turns = self._turns(given)
        # Where the held columns are the first ones anyway, so is the order the usual one.
        is_usual = bool((turns[:-1] <= turns[1:]).all())
        regressions = self._regressions(None if is_usual else turns)
        tokens, ranks = self._start(n, held)
        scores = torch.zeros_like(ranks)
        features = weight.new_zeros(n, sum(self.sizes))
        states = self.network.new_states(n)
        n_blocks = 0
        for j in torch.argsort(turns).tolist():
            n_blocks = max(n_blocks, j + 1)
            h = self.network.block(features, states, j, n_blocks)
            if j not in given and self.places.n_tokens[j] > 1:
                tokens[:, j] = self._draw_tokens(h, tokens, j, rng)
            cells = None
            if j in self.places.continuous:
                r = self.places.continuous.index(j)
                base, scale = self.regression.one(regressions, tokens, scores, r)
                if j not in given:
                    drawn = base + scale * sample_gaussian(self.mixtures.block(h, r), rng)
                    ranks[:, r] = torch.special.ndtr(drawn)
                cells = self._cells_of(r, tokens[:, j], ranks[:, r], base, scale)
                scores[:, r] = cells.scores
            start = self.starts[j]
            features[:, start : start + self.sizes[j]] = self._features_of(j, tokens[:, j], cells)
        if not given:
            self._even_out(tokens, ranks, rng)
        return self._in_encoder_order(tokens, ranks)

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """Chosen by validation loss, and by distances to training rows on halves of tables.

        Rows of many columns, and many rows, are seen less often.
        """
        columns = schema.main.columns
        n_numeric = len(schema.main.columns_of("numeric", "datetime", "geographic"))
        if 2 * n_numeric > len(columns):
            usual = ROWS_SEEN * min(1.0, math.sqrt(n_rows / USUAL_ROWS))
        else:
            usual = ROWS_OF_TOKENS_SEEN * min(1.0, math.sqrt(n_rows / USUAL_ROWS_OF_TOKENS))
        # From where a few passes are enough, the rows seen grow with the root of their number.
        many = max(1.0, n_rows * MIN_EPOCHS / usual)
        wide = max(1.0, math.sqrt(len(columns) / USUAL_COLUMNS))
        epochs = usual / wide * math.sqrt(many) / min(n_rows, EPOCH_ROWS)
        epochs = math.ceil(epochs) if many > 1 else max(MIN_EPOCHS, min(MAX_EPOCHS, int(epochs)))
        is_small = n_rows < SMALL_TABLE
        return Recipe(
            epochs=epochs,
            batch_size=64 if is_small else 256 * 2 ** min(2, round(math.log2(many) / 2)),
            learning_rate=2e-3 if is_small else 4e-3,
            weight_decay=0.01,
            # Where the learning rate is high, losses go up and down.
            patience=20 if is_small else max(2, round(PATIENCE * epochs)),
            ema_decay=0.99 if is_small else 0.998,
        )

    def _units(self, wanted: int | None) -> tuple[int, int]:
        """Hidden units and features of a column, by size: few for few rows or many columns.

        Densities of continuous columns need more than tokens.
        """
        n_places = max(1, len(self.places))
        is_small = self.encoder.n_rows < SMALL_TABLE
        if wanted is not None:
            return wanted, wanted
        units = 16
        if not is_small:
            share = min(1.0, math.sqrt(self.encoder.n_rows / USUAL_ROWS))
            units = round(64 * share) if self._has_mostly_densities() else 24
        width = MAX_WIDTH_SMALL if is_small else MAX_WIDTH
        if units * n_places <= width:
            return units, units
        return max(1, width // n_places), min(units, max(MIN_OUT_UNITS, 2 * width // n_places))

    def _dropout(self) -> float:
        """More for fewer rows, and for tokens, whose shares are sooner known by heart."""
        if self.encoder.n_rows < SMALL_TABLE:
            return 0.3
        if not self._has_mostly_densities():
            return 0.2
        return 0.1 * max(1.0, math.sqrt(USUAL_ROWS / self.encoder.n_rows))

    def _has_mostly_densities(self) -> bool:
        return 2 * len(self.places.continuous) > len(self.places)

    def _lay_out(self, embedding_dim: int) -> None:
        """Say where the features of each place stand: its embedding, its rank's, and a 1.

        The 1 tells a place that another is visible, whose features may all be 0.
        """
        n_tokens, n_places = self.places.n_tokens, len(self.places)
        has_token = torch.tensor([n > 1 for n in n_tokens])
        has_rank = torch.zeros(n_places, dtype=torch.bool)
        has_rank[self.places.continuous] = True
        self.sizes = [
            embedding_dim * int(t) + RANK_FEATURES * int(r) + 1
            for t, r in zip(has_token, has_rank, strict=True)
        ]
        self.varying = (has_token | has_rank).nonzero()[:, 0].tolist()
        ends = torch.tensor(self.sizes).cumsum(0)
        self.starts = (ends - torch.tensor(self.sizes)).tolist()
        # Where each feature of each place is, when all embeddings stand before all of ranks.
        owners = torch.arange(n_places)
        by_kind = torch.cat(
            [
                owners[has_token].repeat_interleave(embedding_dim),
                owners[has_rank].repeat_interleave(RANK_FEATURES),
                owners,
            ]
        )
        for name, indices in {
            "token_offsets": torch.tensor(n_tokens).cumsum(0) - torch.tensor(n_tokens),
            "token_places": owners[has_token],
            "continuous_places": owners[has_rank],
            "feature_order": torch.argsort(by_kind, stable=True),
        }.items():
            self.register_buffer(name, indices, persistent=False)

    @torch.no_grad()
    def _start_at_the_shares(self) -> None:
        """Set biases so that, before training, the tokens of each column have their real shares."""
        place = {column: j for j, column in enumerate(self.places.columns.tolist())}
        shares = torch.from_numpy(self.encoder.moments).diagonal()[len(self.encoder.continuous) :]
        for i in self.encoder.indicated:
            n = self.encoder.columns[i].n_tokens
            head = cast(nn.Linear, self.token_heads[str(place[i])])
            head.bias.copy_(shares[:n].clamp(min=1 / self.encoder.n_rows).log())
            shares = shares[n:]

    def _feature_places(self) -> list[int]:
        """The place of each feature of the encoder's moments."""
        place = {column: j for j, column in enumerate(self.places.columns.tolist())}
        places = [place[i] for i in self.encoder.continuous]
        for i in self.encoder.indicated:
            places += [place[i]] * self.encoder.columns[i].n_tokens
        return places

    def _given(self) -> set[int] | None:
        """The places that are given in this step of a training; None: the usual order.

        At least one place that varies is not given: there must be something to learn.
        """
        n = len(self.varying)
        if not self.training or n < 2 or float(torch.rand(())) >= GIVEN_SHARE:
            return None
        chosen = torch.randperm(n)[: int(torch.randint(1, n, ()))].tolist()
        return {self.varying[i] for i in chosen}

    def _turns(self, given: set[int]) -> Tensor:
        """(J,) when the turn of each place is, if those that are given come first."""
        n = len(self.places)
        late = torch.tensor([j not in given for j in range(n)], device=self.token_offsets.device)
        return torch.argsort(torch.argsort(late.long(), stable=True))

    def _regressions(self, turns: Tensor | None) -> Regressions:
        return self.regression.usual if turns is None else self.regression.solve(turns)

    def _continuous_cells(
        self, batch: Mapping[str, Tensor], tokens: Tensor, regressions: Regressions
    ) -> _Cells:
        order = self.places.rank_order
        low, high = batch["rank_low"][:, order], batch["rank_high"][:, order]
        share = torch.rand_like(low) if self.training else 0.5
        ranks = (low + (high - low) * share).clamp(RANK_MARGIN, 1 - RANK_MARGIN)
        is_present = tokens[:, self.continuous_places] == self.places.continuous_tokens
        present = is_present.to(ranks.dtype)
        scores = torch.special.ndtri(ranks) * present
        residuals = self.regression.residuals(regressions, tokens, scores)
        return _Cells(ranks, scores, residuals, present)

    def _cells_of(
        self, r: int, tokens: Tensor, ranks: Tensor, base: Tensor, scale: Tensor
    ) -> _Cells:
        """The cells (B,) of one continuous place."""
        present = (tokens == self.places.continuous_tokens[r]).to(ranks.dtype)
        inside = ranks.clamp(RANK_MARGIN, 1 - RANK_MARGIN)
        scores = torch.special.ndtri(inside) * present
        return _Cells(inside, scores, (scores - base) / scale, present)

    def _features(self, tokens: Tensor, cells: _Cells) -> Tensor:
        """What each place tells the others: (B, sum(sizes))."""
        places = self.token_places
        embedded = self.embedding(tokens[:, places] + self.token_offsets[places])
        of_ranks = _rank_features(cells)
        ones = of_ranks.new_ones(len(tokens), len(self.places))
        parts = torch.cat([embedded.flatten(1), of_ranks.flatten(1), ones], dim=1)
        return parts[:, self.feature_order]

    def _features_of(self, j: int, tokens: Tensor, cells: _Cells | None) -> Tensor:
        """What one place tells the others: (B, sizes[j])."""
        parts = []
        if self.places.n_tokens[j] > 1:
            parts.append(self.embedding(tokens + self.token_offsets[j]))
        if cells is not None:
            parts.append(_rank_features(cells))
        return torch.cat([*parts, self.embedding.weight.new_ones(len(tokens), 1)], dim=1)

    def _start(self, n: int, held: Mapping[int, Held]) -> tuple[Tensor, Tensor]:
        """Tokens (n, J) and ranks (n, R) with what is held in place."""
        weight = self.embedding.weight
        encoded = torch.zeros(n, len(self.encoder.columns), dtype=torch.long, device=weight.device)
        ranks = weight.new_full((n, len(self.places.continuous)), 0.5)
        for column, cells in held.items():
            encoded[:, column] = cells.tokens
            if column in self.encoder.continuous:
                r = self.places.rank_order.tolist().index(self.encoder.continuous.index(column))
                ranks[:, r] = cells.ranks
        return self.places.split(encoded), ranks

    def _draw_tokens(self, h: Tensor, tokens: Tensor, j: int, rng: torch.Generator) -> Tensor:
        """(B,) tokens of place `j`."""
        logits = self.token_heads[str(j)](h)
        possible = self.places.possible(tokens, j)
        if possible is not None:
            logits = logits.masked_fill(~possible, -math.inf)
        return choose(logits.softmax(dim=1), stratified(len(h), rng))

    def _even_out(self, tokens: Tensor, ranks: Tensor, rng: torch.Generator) -> None:
        """Move the ranks of each continuous column, in their order, to where all are equally dense.

        In all rows they are, by what a rank is; in so many drawn rows they would be, but for what
        chance and the model leave. The order of the rows, which tells how columns belong together,
        stays. Too few rows are left as they are: they would have to move too far.

        Source: Stein 1987, Latin hypercube sampling of dependent variables, section 5,
            doi:10.1080/00401706.1987.10488205.
        """
        for r, j in enumerate(self.places.continuous):
            is_present = tokens[:, j] == self.places.continuous_tokens[r]
            rows = is_present.nonzero()[:, 0]
            if len(rows) >= MIN_EVEN_ROWS:
                order = rows[ranks[rows, r].argsort(stable=True)]
                inside = torch.rand(len(rows), generator=rng, device=rng.device)
                even = (torch.arange(len(rows), device=rng.device).double() + inside) / len(rows)
                ranks[order, r] = even.to(ranks.dtype)

    def _in_encoder_order(self, tokens: Tensor, ranks: Tensor) -> dict[str, Tensor]:
        all_ranks = torch.empty_like(ranks)
        all_ranks[:, self.places.rank_order] = ranks
        return {
            "tokens": self.places.merge(tokens).to(self.encoder.token_dtype),
            "rank_low": all_ranks,
            "rank_high": all_ranks.clone(),
        }


def _rank_features(cells: _Cells) -> Tensor:
    """(..., RANK_FEATURES) from (...): what is told about continuous cells; 0 where `present` is 0."""
    harmonics = torch.arange(1, HARMONICS + 1, device=cells.ranks.device)
    angles = cells.ranks[..., None] * (math.pi * harmonics)
    plain = torch.stack([cells.ranks - 0.5, cells.scores, cells.residuals.clamp(-5, 5)], dim=-1)
    return torch.cat([plain, angles.sin(), angles.cos()], dim=-1) * cells.present[..., None]
