"""Images and texts that belong together: a model of each, told the same labels.

    labels ~ their shares in training ──┬──► p(image | labels)
                                        └──► p(text | labels)

What image and text have in common beyond the labels is not modelled: a row is as consistent as its
labels make it. So the labels should tell all that must agree.

Source:
    Conditional independence of the modalities given shared variables, which here are observed:
    Suzuki et al. 2016, Joint multimodal learning with deep generative models, arXiv:1611.01891.
Differs:
    Nothing is latent that both share, so each model is trained by its own objective, as it would be
    alone, and any generator of images goes with any of texts.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor

from tasks import registry
from tasks.encoding.base import Encoder
from tasks.encoding.image import ImageEncoder
from tasks.encoding.multimodal import MultimodalEncoder, named, unnamed
from tasks.encoding.text import TextEncoder
from tasks.errors import DataError, ParamsError, TrainingError
from tasks.generators.base import DataGenerator, Objective, Recipe
from tasks.generators.layers import choose, stratified
from tasks.params import Record, validated
from tasks.schema import DatasetSchema

_ENCODERS: dict[str, type[Encoder]] = {"image": ImageEncoder, "text": TextEncoder}


class PairedParams(Record):
    """Settings of `paired`."""

    image: str = Field(default="ddpm", description="the generator of images")
    image_params: dict[str, Any] = Field(default={}, description="its settings")
    text: str = Field(default="transformer", description="the generator of texts")
    text_params: dict[str, Any] = Field(default={}, description="its settings")

    @model_validator(mode="after")
    def _are_generators(self) -> Self:
        for view in _ENCODERS:
            self.model(view)
        return self

    def model(self, view: str) -> tuple[type[DataGenerator], Record]:
        """The generator of one view and its settings.

        Raises:
            ParamsError: there is no such generator or setting, or it does not learn a model.
        """
        name = getattr(self, view)
        cls: type[DataGenerator] = registry.load(f"tasks.generators.{view}", name, DataGenerator)  # type: ignore[type-abstract]
        if cls.encoder_class is not _ENCODERS[view]:
            raise ParamsError(
                f"generator_params.{view}: {name} changes real rows and has no model of them, so"
                " nothing can be drawn for a given label; choose another generator"
            )
        given = getattr(self, f"{view}_params")
        return cls, validated(cls.Params, given, f"generator_params.{view}_params")


class Paired(DataGenerator):
    """Images and texts given their labels.

    Attributes:
        image, text: the models.
    """

    Params: ClassVar[type[Record]] = PairedParams
    encoder_class: ClassVar[type[Encoder]] = MultimodalEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(MultimodalEncoder, encoder)
        settings = cast(PairedParams, params)
        image, image_params = settings.model("image")
        self.image = image(self.encoder.image, image_params)
        text, text_params = settings.model("text")
        self.text = text(self.encoder.text, text_params)
        base = self.recipe(self.encoder.n_rows, self.encoder.schema)
        own = {
            "image": image.recipe(self.encoder.n_rows, self.encoder.image.schema),
            "text": text.recipe(self.encoder.n_rows, self.encoder.text.schema),
        }
        self._rates = {v: recipe.learning_rate / base.learning_rate for v, recipe in own.items()}
        self._shares = {v: min(1.0, recipe.epochs / base.epochs) for v, recipe in own.items()}
        self._parts = {
            _name(view, o, objectives): (view, o)
            for view, model in self._models()
            for objectives in [model.objectives()]
            for o in objectives
        }

    def objectives(self) -> list[Objective]:
        """Those of both models: `image` and `text`, or `image_critic` and so on of several."""
        return [
            Objective(
                name,
                f"{view}.{o.module}" if o.module else view,
                o.steps,
                o.rate * self._rates[view],
            )
            for name, (view, o) in self._parts.items()
        ]

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """The loss of each row in the model that the objective names; of both together by default.

        While training, a model whose own recipe has fewer epochs gets as large a share of the rows,
        and their mean loss counts for all: it would learn its rows by heart otherwise.
        """
        if objective == "loss":
            return self._losses(batch, "image", "loss") + self._losses(batch, "text", "loss")
        view, own = self._parts[objective]
        return self._losses(batch, view, own.name)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their frequency in training, or those that are held, then image and text."""
        labels = self.encoder.joint_labels
        held = None
        if conditions or labels.column is not None:
            indices = self._drawn_labels(n, rng, conditions or {})
            held = {str(labels.column and labels.column.name): labels.decode(indices)}
        drawn: dict[str, Tensor] = {}
        for view, model in self._models():
            drawn |= named(view, model.sample(n, rng, held))
        return drawn

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """That of the default image model, which takes most of the time, and no early stop.

        The losses of two models do not tell one best epoch.
        """
        models = [PairedParams().model(view)[0] for view in _ENCODERS]
        image, text = (model.recipe(n_rows, schema) for model in models)
        return image.model_copy(
            update={
                "epochs": max(image.epochs, text.epochs),
                "batch_size": max(image.batch_size, text.batch_size),
                "patience": None,
            }
        )

    def _losses(self, batch: Mapping[str, Tensor], view: str, objective: str) -> Tensor:
        rows = unnamed(view, batch)
        n_rows = len(rows["labels"])
        n_taken = max(1, round(n_rows * self._shares[view])) if self.training else n_rows
        if n_taken < n_rows:
            rows = {name: tensor[:n_taken] for name, tensor in rows.items()}
        losses: Tensor = dict(self._models())[view](rows, objective)
        return losses if n_taken == n_rows else losses.mean().expand(n_rows)

    def _drawn_labels(self, n: int, rng: torch.Generator, conditions: Mapping[str, Any]) -> Tensor:
        """(n,) int64 indices of joint labels."""
        labels = self.encoder.joint_labels
        try:
            fits = self.encoder.joint.fitting(labels, conditions)
        except DataError as error:
            raise TrainingError(f"impossible condition: {error}") from error
        weights = torch.from_numpy(fits * labels.shares).to(rng.device)
        shares = weights / weights.sum(dim=1, keepdim=True)
        return choose(shares.expand(n, -1), stratified(n, rng))

    def _models(self) -> tuple[tuple[str, DataGenerator], ...]:
        return (("image", self.image), ("text", self.text))


def _name(view: str, objective: Objective, objectives: list[Objective]) -> str:
    return view if len(objectives) == 1 else f"{view}_{objective.name}"
