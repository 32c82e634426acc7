"""An autoregressive model of a table: each column is drawn given the columns before it."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.tabular import TabularEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.layers import BlockMaskedLinear
from tasks.params import Record

_HARMONICS = 4
_RANK_FEATURES = 3 + 2 * _HARMONICS
_RANK_MARGIN = 1e-6
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class AutoregressiveParams(Record):
    """Settings of the model."""

    hidden_units: int | None = Field(default=None, ge=1, le=4_096, description="units of a column")
    layers: int = Field(default=2, ge=1)
    components: int | None = Field(default=None, ge=1)
    embedding_dim: int = Field(default=16)
    dropout: float | None = None
    noise: float = 0.0
    linear: bool = True
    order: str = "a"
    frozen: bool = True
    whiten: bool = True
    alpha: float = 0.1
    spread: float = 1.0


class Autoregressive(DataGenerator):
    Params: ClassVar[type[Record]] = AutoregressiveParams
    encoder_class = TabularEncoder

    def __init__(self, encoder, params) -> None:
        super().__init__(encoder, params)
        p = params
        n = encoder.n_rows
        self.noise = p.noise
        self.order = _order(encoder)
        cols = [encoder.columns[i] for i in self.order]
        H = p.hidden_units or (64 if n >= 2000 else 32)
        self.H = H
        self.M = p.components or (16 if n >= 2000 else 4)
        drop = p.dropout if p.dropout is not None else 0.1
        self.n_tokens = [c.n_tokens for c in cols]
        self.cont = [j for j, c in enumerate(cols) if c.continuous_token is not None]
        self.cont_pos = {j: r for r, j in enumerate(self.cont)}
        self.cont_tok = [cols[j].continuous_token for j in self.cont]
        rank_of = {c: r for r, c in enumerate(encoder.continuous)}
        self.rank_perm = [rank_of[self.order[j]] for j in self.cont]
        E = p.embedding_dim
        self.E = E
        self.tok_cols = [j for j, v in enumerate(self.n_tokens) if v > 1]
        sizes = [(E if v > 1 else 0) + (_RANK_FEATURES if j in self.cont_pos else 0) for j, v in enumerate(self.n_tokens)]
        self.sizes = sizes
        self.starts = [sum(sizes[:j]) for j in range(len(sizes) + 1)]
        offs = []
        t = 0
        for v in self.n_tokens:
            offs.append(t)
            t += v
        self.register_buffer("offsets", torch.tensor(offs), persistent=False)
        self.embedding = nn.Embedding(t, E)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.inp = BlockMaskedLinear(sizes, H, strict=True)
        J = len(sizes)
        self.hidden = nn.ModuleList([BlockMaskedLinear([H] * J, H, strict=False) for _ in range(p.layers)])
        self.drop = nn.Dropout(drop)
        self.token_heads = nn.ModuleDict({str(j): nn.Linear(H, self.n_tokens[j]) for j in self.tok_cols})
        R = len(self.cont)
        self.R = R
        self.mix_w = nn.Parameter(torch.randn(R, H, 3 * self.M) * 0.1 / math.sqrt(H))
        b = torch.zeros(R, 3, self.M)
        b[:, 1] = torch.linspace(-p.spread, p.spread, self.M) if self.M > 1 else 0
        b[:, 2] = -0.2
        self.mix_b = nn.Parameter(b.flatten(1))
        self.use_linear = p.linear
        lin, ls = _linear(encoder.score_moments[self.rank_perm][:, self.rank_perm], p.alpha / n + 1e-6)
        if not p.linear: lin, ls = lin * 0, ls * 0
        self.whiten = p.whiten
        if p.frozen:
            self.register_buffer("lin", lin); self.register_buffer("ls", ls)
        else:
            self.lin = nn.Parameter(lin); self.ls = nn.Parameter(ls)
        self.register_buffer("tril", torch.ones(R, R).tril(-1), persistent=False)

    def features(self, tokens, u, z, e, iscont):
        """x (B, sum sizes)"""
        emb = self.embedding(tokens + self.offsets)
        k = torch.arange(1, _HARMONICS + 1, device=u.device) * math.pi
        a = u[..., None] * k
        f = torch.cat([u[..., None] - 0.5, z[..., None], e[..., None], a.sin(), a.cos()], -1) * iscont[..., None]
        parts = []
        for j in range(len(self.sizes)):
            if self.n_tokens[j] > 1:
                parts.append(emb[:, j])
            if j in self.cont_pos:
                parts.append(f[:, self.cont_pos[j]])
        return torch.cat(parts, 1)

    def trunk(self, x):
        h = self.drop(functional.silu(self.inp(x)))
        for layer in self.hidden:
            h = h + self.drop(functional.silu(layer(h)))
        return h

    def mixture(self, h):  # (B,R,H)
        o = torch.einsum("brh,rhk->brk", h, self.mix_w) + self.mix_b
        o = o.unflatten(-1, (3, self.M))
        return o[..., 0, :].log_softmax(-1), o[..., 1, :], o[..., 2, :].clamp(-6, 3)

    def forward(self, batch):
        tokens = batch["tokens"].long()[:, self.order]
        lo = batch["rank_low"][:, self.rank_perm]
        hi = batch["rank_high"][:, self.rank_perm]
        mix = torch.rand_like(lo) if self.training else 0.5
        u = (lo + (hi - lo) * mix).clamp(_RANK_MARGIN, 1 - _RANK_MARGIN)
        z = torch.special.ndtri(u)
        iscont = (tokens[:, self.cont] == torch.tensor(self.cont_tok, device=tokens.device)).to(z.dtype) if self.R else z
        zin, uin = z * iscont, u
        if self.training and self.noise:
            zin = zin + self.noise * torch.randn_like(z)
            uin = torch.special.ndtr(zin)
        base = functional.linear(zin, self.lin * self.tril)
        t = (z - base) * (-self.ls).exp()
        e = (t if self.whiten else z).clamp(-5, 5)
        h = self.trunk(self.features(tokens, uin, zin, e, iscont)).unflatten(1, (-1, self.H))
        loss = 0
        for j in self.tok_cols:
            loss = loss + functional.cross_entropy(self.token_heads[str(j)](h[:, j]), tokens[:, j], reduction="none")
        if self.R:
            w, m, s = self.mixture(h[:, self.cont])
            d = (t[..., None] - m) * (-s).exp()
            lp = torch.logsumexp(w - 0.5 * d * d - s - _LOG_SQRT_2PI, -1) - self.ls
            loss = loss - (lp * iscont).sum(-1)
        return loss

    @torch.no_grad()
    def sample(self, n, rng, conditions=None):
        dev = self.embedding.weight.device
        J = len(self.sizes)
        x = torch.zeros(n, sum(self.sizes), device=dev)
        hs = [torch.zeros(n, J * self.H, device=dev) for _ in self.hidden]
        tokens = torch.zeros(n, J, dtype=torch.long, device=dev)
        U = torch.full((n, self.R), 0.5, device=dev)
        Z = torch.zeros(n, self.R, device=dev)
        k = torch.arange(1, _HARMONICS + 1, device=dev) * math.pi
        for j in range(J):
            h = functional.silu(self.inp.block(x, j))
            for i, layer in enumerate(self.hidden):
                hs[i][:, j * self.H:(j + 1) * self.H] = h
                h = h + functional.silu(layer.block(hs[i], j))
            if self.n_tokens[j] > 1:
                p = self.token_heads[str(j)](h).softmax(-1)
                tokens[:, j] = torch.multinomial(p, 1, generator=rng)[:, 0]
                x[:, self.starts[j]:self.starts[j] + self.E] = self.embedding(tokens[:, j] + self.offsets[j])
            if j in self.cont_pos:
                r = self.cont_pos[j]
                o = (h @ self.mix_w[r] + self.mix_b[r]).unflatten(-1, (3, self.M))
                w, m, s = o[:, 0].softmax(-1), o[:, 1], o[:, 2].clamp(-6, 3)
                c = torch.multinomial(w, 1, generator=rng)
                z = m.gather(1, c)[:, 0] + s.gather(1, c)[:, 0].exp() * torch.randn(n, generator=rng, device=dev)
                base = Z @ (self.lin * self.tril)[r]
                z = base + self.ls[r].exp() * z
                u = torch.special.ndtr(z).clamp(_RANK_MARGIN, 1 - _RANK_MARGIN)
                z = torch.special.ndtri(u)
                e = ((z - base) * (-self.ls[r]).exp() if self.whiten else z).clamp(-5, 5)
                ic = (tokens[:, j] == self.cont_tok[r]).float()
                U[:, r] = u
                Z[:, r] = z * ic
                a = u[:, None] * k
                f = torch.cat([u[:, None] - 0.5, z[:, None], e[:, None], a.sin(), a.cos()], 1) * ic[:, None]
                x[:, self.starts[j + 1] - _RANK_FEATURES:self.starts[j + 1]] = f
        inv = torch.empty(J, dtype=torch.long)
        inv[self.order] = torch.arange(J)
        invr = torch.empty(self.R, dtype=torch.long)
        invr[self.rank_perm] = torch.arange(self.R)
        ranks = U[:, invr]
        return {"tokens": tokens[:, inv], "rank_low": ranks, "rank_high": ranks}

    @classmethod
    def recipe(cls, n_rows: int) -> Recipe:
        return Recipe(epochs=12, batch_size=256, learning_rate=4e-3, weight_decay=0.01, patience=3, ema_decay=0.998)


def _order(e):
    names = [c.column.name for c in e.columns]
    def key(i):
        c = e.columns[i]
        return (names[i] != e.schema.target, i in e.continuous, i)
    return sorted([i for i in range(len(names))], key=key)


def _linear(S, lam):
    import numpy as np
    R = len(S)
    L = np.zeros((R, R)); ls = np.zeros(R)
    for r in range(R):
        w = np.linalg.solve(S[:r, :r] + lam * np.eye(r), S[:r, r])
        L[r, :r] = w
        v = S[r, r] - 2 * w @ S[:r, r] + w @ S[:r, :r] @ w
        ls[r] = max(-5, 0.5 * np.log(max(v, 1e-12) / S[r, r]))
    return torch.tensor(L, dtype=torch.float32), torch.tensor(ls, dtype=torch.float32)
