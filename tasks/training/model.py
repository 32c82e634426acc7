"""A trained generator on disk: weights and arrays as safetensors, everything else as JSON.

    model/
        generator.safetensors   weights
        encoder.safetensors     arrays that the encoder has learned
        model.json              generator, settings, schema, the encoder's other state, training

Of rows that are stored encrypted, these files are, too: their names have `.enc` behind. The same
training gives the same bytes; no clock, no pickle. Nothing in these files is run when they
are loaded, but `model.json` names the generator, which is imported.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from tasks.encoding.base import Encoder
from tasks.encryption import read_encrypted, write_encrypted
from tasks.errors import DataError
from tasks.generators.base import DataGenerator
from tasks.params import Record, validated
from tasks.registry import load as load_class
from tasks.schema import DatasetSchema, Kind
from tasks.storage import encrypted_path, read_json, write_json

GENERATOR_FILE = "generator.safetensors"
ENCODER_FILE = "encoder.safetensors"
MODEL_FILE = "model.json"

FORMAT = 1
"""Of the folder; raised when older code could not read a newer model."""


@dataclass(frozen=True)
class Fitted:
    """What a training ends with.

    Attributes:
        generator: with the best averaged weights, ready to sample.
        encoder: turns its samples into rows.
        summary: numbers of the training as JSON; the same for the same training.
    """

    generator: DataGenerator
    encoder: Encoder
    summary: dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A trained generator with what is needed to make rows of its samples.

    Attributes:
        generator: in evaluation mode.
        encoder: decodes its samples.
        n_rows: rows that it was trained on, validation rows included.
    """

    generator: DataGenerator
    encoder: Encoder
    n_rows: int


def generator_class(kind: Kind, name: str) -> type[DataGenerator]:
    """The generator `name` for data of this kind.

    Raises:
        ParamsError: there is none; the message has the choices.
    """
    return load_class(f"tasks.generators.{kind}", name, DataGenerator)  # type: ignore[type-abstract]


def generator_params(cls: type[DataGenerator], content: dict[str, Any], where: str) -> Record:
    """The settings of a generator as its record; `where` is the path of the section in messages.

    Raises:
        ParamsError: a key is unknown or its value is wrong.
    """
    return validated(cls.Params, content, where)


def contiguous(generator: DataGenerator) -> DataGenerator:
    """The same generator, its weights in order in memory.

    The fused optimizer goes by memory, and a product of matrices that lie otherwise may differ in
    its last bit: a loaded generator shall draw the same rows as the one that was saved.
    """
    for parameter in generator.parameters():
        parameter.data = parameter.data.contiguous()
    return generator


def save_model(folder: Path, kind: Kind, name: str, params: Record, fitted: Fitted) -> None:
    """Write a trained generator into the existing `folder`."""
    encoder_content, arrays = fitted.encoder.state()
    # Copies, because safetensors refuses tensors that share memory (tied weights).
    weights = {
        key: tensor.detach().to("cpu", copy=True).contiguous()
        for key, tensor in fitted.generator.state_dict().items()
    }
    schema = fitted.encoder.schema
    _write(folder / GENERATOR_FILE, save_tensors(weights), encrypt=schema.encrypted)
    _write(folder / ENCODER_FILE, save_arrays(arrays), encrypt=schema.encrypted)
    content = {
        "format": FORMAT,
        "kind": kind,
        "generator": name,
        "generator_params": params.model_dump(mode="json"),
        "training": fitted.summary,
        "schema": schema.model_dump(mode="json"),
        "encoder": encoder_content,
    }
    write_json(folder / MODEL_FILE, content, encrypt=schema.encrypted)


def load_model(folder: Path, device: torch.device) -> Model:
    """Read what `save_model` wrote.

    Raises:
        DataError: a file is missing or damaged, or the model is of a newer format.
        ParamsError: this project has no such generator.
        WorkspaceError: the model is encrypted, and the key is missing or another one.
    """
    content = read_json(folder / MODEL_FILE)
    if content.get("format") != FORMAT:
        raise DataError(
            f"{folder / MODEL_FILE} has the format {content.get('format')!r}, expected {FORMAT};"
            " train the model again"
        )
    cls = generator_class(content["kind"], content["generator"])
    schema = DatasetSchema.model_validate(content["schema"])
    try:
        weights = load_tensors(_read(folder / GENERATOR_FILE))
        arrays = load_arrays(_read(folder / ENCODER_FILE))
    except (SafetensorError, OSError) as error:
        raise DataError(f"the model in {folder} is damaged: {error}; train it again") from error
    encoder = cls.encoder_class.from_state(schema, content["encoder"], arrays)
    params = generator_params(cls, content["generator_params"], f"{MODEL_FILE}: generator_params")
    generator = contiguous(cls(encoder, params))
    generator.load_state_dict(weights)
    return Model(generator.to(device).eval(), encoder, content["training"]["rows"])


def _write(path: Path, content: bytes, *, encrypt: bool) -> None:
    if encrypt:
        write_encrypted(encrypted_path(path), content)
    else:
        path.write_bytes(content)


def _read(path: Path) -> bytes:
    secret = encrypted_path(path)
    return read_encrypted(secret) if secret.exists() else path.read_bytes()
