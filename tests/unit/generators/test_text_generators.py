"""What generators of texts must do beyond the contract of generators."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from tasks.encoding.text import TextEncoder
from tasks.encoding.text_pieces import END
from tasks.errors import TrainingError
from tasks.generators.text.parts.recurrent import RecurrentWriter
from tasks.generators.text.parts.writing import TextGenerator, Writer, nucleus
from tasks.generators.text.seq2seq import Seq2Seq, spoil
from tasks.generators.text.transformer import Transformer, _Writer, attend, rotate
from tasks.generators.text.vae import Vae, gaussian_divergence
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema

SMALL: dict[type[TextGenerator], dict[str, Any]] = {
    Seq2Seq: {"embedding_dim": 8, "n_units": 12},
    Transformer: {"width": 16, "n_layers": 2, "n_heads": 2},
    Vae: {"embedding_dim": 8, "n_units": 12, "latent_dim": 3},
}
TEXTS = ["hi", "", "so long, and thanks", "x", "to be or not", "yes", "no", "é", "end it", "go"] * 5


def _rows(texts: list[str], target: str | None = "label") -> tuple[DatasetSchema, pa.RecordBatch]:
    columns = [Column(name="text", type="string", meaning="text")]
    arrays = [pa.array(texts)]
    if target is not None:
        columns.append(Column(name=target, type="string", meaning="categorical"))
        arrays.append(pa.array(["a" if i % 3 else "b" for i in range(len(texts))]))
    table = TableSchema(name="texts", columns=tuple(columns))
    schema = DatasetSchema(kind="text", tables=(table,), target=target)
    return schema, pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))


def _model(
    cls: type[TextGenerator], target: str | None = "label", **settings: Any
) -> tuple[TextGenerator, dict[str, Tensor]]:
    schema, rows = _rows(TEXTS, target)
    encoder = TextEncoder.fit(schema, lambda: iter([rows]), np.random.default_rng(0))
    torch.manual_seed(0)
    model = cls(encoder, cls.Params.model_validate({**SMALL[cls], **settings})).eval()
    return model, encoder.encode(rows)


def _nats(writer: Writer, tokens: Tensor) -> Tensor:
    """(B,) of texts that are told to a writer token by token."""
    total = torch.zeros(len(tokens))
    is_open = torch.ones(len(tokens), dtype=torch.bool)
    for place in range(tokens.shape[1]):
        chosen = tokens[:, place].long()
        nats = functional.cross_entropy(writer.logits(), chosen, reduction="none")
        total += torch.where(is_open, nats, 0.0)
        is_open &= chosen != END
        writer.read(chosen)
    return total


@torch.no_grad()
def test_the_transformer_writes_as_it_was_trained() -> None:
    model, batch = _model(Transformer)
    writer = _Writer(model, batch["labels"].long())
    expected = _nats(writer, batch["tokens"]) / model.mean_tokens
    torch.testing.assert_close(model(batch), expected)


@torch.no_grad()
def test_recurrent_networks_write_as_they_were_trained() -> None:
    for cls, topics in ((Vae, 3), (Seq2Seq, 0)):
        model, batch = _model(cls)
        tokens, labels = batch["tokens"].long(), batch["labels"].long()
        heard = (
            model._heard(torch.randn(len(tokens), topics))
            if cls is Vae
            else model._heard(tokens, labels)
        )
        nats = model.decoder(tokens, tokens, labels, heard)
        torch.testing.assert_close(
            nats, _nats(RecurrentWriter(model.decoder, labels, heard), tokens)
        )


@torch.no_grad()
@pytest.mark.parametrize("cls", SMALL)
def test_the_loss_of_a_text_depends_on_no_other(cls: type[TextGenerator]) -> None:
    model, batch = _model(cls)
    torch.manual_seed(0)
    together = model(batch)
    if cls is Transformer:
        alone = torch.cat([model({k: v[i : i + 1] for k, v in batch.items()}) for i in range(10)])
        torch.testing.assert_close(together[:10], alone)
    assert together.shape == (50,)
    assert together.isfinite().all()


@pytest.mark.parametrize("cls", SMALL)
def test_labels_are_drawn_by_their_shares_or_held(cls: type[TextGenerator]) -> None:
    model, _ = _model(cls)
    drawn = model.sample(100, torch.Generator().manual_seed(0))
    assert int((drawn["labels"] == 1).sum()) == 34  # 17 of 50, stratified
    held = model.sample(9, torch.Generator().manual_seed(0), {"label": "b"})
    assert held["labels"].tolist() == [1] * 9
    with pytest.raises(TrainingError, match="impossible condition on 'label'"):
        model.sample(2, torch.Generator(), {"label": "c"})
    with pytest.raises(TrainingError, match="conditions on 'label' alone"):
        model.sample(2, torch.Generator(), {"text": "hi"})


@pytest.mark.parametrize("cls", SMALL)
def test_large_networks_may_multiply_in_bfloat16(cls: type[TextGenerator]) -> None:
    model, batch = _model(cls)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.train()(batch)
    losses.float().mean().backward()
    assert losses.isfinite().all()


@pytest.mark.parametrize("cls", SMALL)
def test_texts_need_no_labels(cls: type[TextGenerator]) -> None:
    model, batch = _model(cls, target=None)
    assert model(batch).isfinite().all()
    drawn = model.sample(5, torch.Generator().manual_seed(0))
    assert model.encoder.decode(drawn, np.random.default_rng(0)).schema.names == ["text"]


@pytest.mark.parametrize("cls", SMALL)
def test_samples_have_an_end_and_known_tokens_alone(cls: type[TextGenerator]) -> None:
    model, _ = _model(cls, top_p=1.0, temperature=10.0)
    tokens = model.sample(60, torch.Generator().manual_seed(1))["tokens"]
    assert tokens.dtype == torch.int16
    assert (tokens[:, -1] == END).all()
    after = (tokens == END).cumsum(dim=1) > 0
    assert (tokens[after] == END).all()
    assert not model.never[tokens.long().unique()].any()


@torch.no_grad()
@pytest.mark.parametrize("cls", SMALL)
def test_texts_are_made_of_known_words(cls: type[TextGenerator]) -> None:
    # A name that one text alone has.
    schema, rows = _rows([*["to be or not", "not to be", "or be"] * 4, "to be Rumpel"])
    encoder = TextEncoder.fit(schema, lambda: iter([rows]), np.random.default_rng(0))
    model = cls(encoder, cls.Params.model_validate({**SMALL[cls], "top_p": 1.0})).eval()
    texts = encoder.texts(model.draw(torch.zeros(30, dtype=torch.int64), torch.Generator()))
    # The last word may be cut where a row of tokens ends.
    found = {word for text in texts for word in text.split()[:-1]}
    assert found == {"to", "be", "or", "not"}
    # No training text is empty.
    assert all(texts)


def test_copies_are_drawn_anew() -> None:
    schema, rows = _rows(["my brother Rumpel is ill", *["ok then"] * 49])
    encoder = TextEncoder.fit(schema, lambda: iter([rows]), np.random.default_rng(0))
    model = Transformer(encoder, Transformer.Params.model_validate(SMALL[Transformer])).eval()
    written = encoder.encode(rows)["tokens"]
    calls = []

    def draw(labels: Tensor, rng: torch.Generator) -> Tensor:
        calls.append(len(labels))
        first = int(len(calls) > 1)
        return written[first : first + len(labels)].clone()

    model.draw = draw  # type: ignore[method-assign]
    drawn = model.sample(10, torch.Generator().manual_seed(0))
    assert calls == [10, 1]
    assert encoder.texts(drawn["tokens"]) == ["ok then"] * 10


def test_the_nucleus_has_the_likeliest_tokens() -> None:
    logits = torch.tensor([[0.1, 0.5, 0.3, 0.1]]).log()
    assert torch.allclose(nucleus(logits, 1.0), torch.tensor([[0.1, 0.5, 0.3, 0.1]]))
    # 0.5 is too little, 0.5 + 0.3 is enough.
    assert torch.allclose(nucleus(logits, 0.7), torch.tensor([[0.0, 0.625, 0.375, 0.0]]))
    assert torch.allclose(nucleus(logits, 1e-6), torch.tensor([[0.0, 1.0, 0.0, 0.0]]))


def test_spoiling_leaves_out_and_moves() -> None:
    tokens = torch.tensor([[5, 6, 7, END, END]] * 3)
    noise = torch.zeros(2, 3, 5)
    noise[0] = torch.tensor([0.9, 0.1, 0.9, 0.5, 0.5])
    # The first token goes to 0 + 4 * 0.8 = 3.2, behind the third one, at 2.
    noise[1, 2] = torch.tensor([0.8, 0.0, 0.0, 0.0, 0.0])
    spoiled = spoil(tokens, torch.tensor([1.0, 0.5, 0.0]), noise)
    assert spoiled.tolist() == [[END] * 5, [5, 7, END, END, END], [6, 7, 5, END, END]]


def test_products_of_rotated_vectors_tell_distances() -> None:
    x = torch.randn(2, 1, 4)
    query, key = x[:1, None], x[1:, None]
    at = [
        (rotate(query, torch.tensor([i])) * rotate(key, torch.tensor([j]))).sum().item()
        for i, j in ((3, 1), (12, 10), (3, 2))
    ]
    assert math.isclose(at[0], at[1], abs_tol=1e-5)
    assert not math.isclose(at[0], at[2], abs_tol=1e-3)


def test_attention_is_a_mean_of_what_may_be_seen() -> None:
    x = torch.zeros(1, 1, 2, 1)
    value = torch.tensor([1.0, 3.0]).view(1, 1, 2, 1)
    hidden = torch.tensor([[0.0, -torch.inf], [0.0, 0.0]])
    assert attend(x, x, value, hidden).flatten().tolist() == [1.0, 2.0]


def test_the_divergence_of_gaussians() -> None:
    means, log_scales = torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, math.log(2)]])
    # 0, and (4 + 4 - 1 - 2 log 2) / 2.
    assert gaussian_divergence(means, log_scales).item() == pytest.approx(3.5 - math.log(2))


def test_the_weight_of_the_divergence_rises_in_training_alone() -> None:
    model, batch = _model(Vae, annealing_epochs=2.0)
    assert float(model.train()._weight(50)) == 0.0
    assert float(model._weight(50)) == 0.5
    assert float(model._weight(1_000)) == 1.0
    before = float(model.rows_seen)
    model.eval()(batch)
    assert float(model.rows_seen) == before == 1_100


def test_heads_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="multiple of twice n_heads"):
        Transformer.Params(width=20, n_heads=4)
