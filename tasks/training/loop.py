"""One training loop for every generator.

A generator says what its loss is (`forward` gives one loss per row); this module says how to
minimise it. Nothing here knows about tables, images, MLflow or params.yaml.

    encode the rows once -> set validation rows aside -> epochs of steps:
        AdamW on a one-cycle schedule, gradient norm clipped, weights averaged (EMA)
    -> after each epoch the loss of the averaged weights on the validation rows
    -> keep the best averaged weights; stop when they have not improved for `patience` epochs
       (without patience: train to the end and keep the last ones)

With `train.privacy` some of it is done otherwise: see `tasks.training.private`.

All randomness of step `i` is derived from (seed, i), so a training that was killed continues from
its checkpoint as if nothing had happened, and no state of a random generator is ever stored.

A generator may have several objectives (a GAN's critic and generator). Each has an optimizer over
its own weights; one step of the loop takes the steps of all of them in turn, each on other rows.
"""

import contextlib
from pathlib import Path

import torch

from tasks.encoding.base import Batches
from tasks.errors import ParamsError, TrainingError
from tasks.generators.base import DataGenerator
from tasks.noise import new_key
from tasks.params import Record, TrainParams
from tasks.schema import DatasetSchema
from tasks.seeding import derive_seed
from tasks.training import distributed
from tasks.training.checkpoint import Checkpoint
from tasks.training.data import Rows, budget_bytes
from tasks.training.device import (
    choose_device,
    fast_products,
    gainful_threads,
    reproducible,
    seed_torch,
)
from tasks.training.distributed import Group
from tasks.training.model import Fitted
from tasks.training.private import Privacy, check_privacy
from tasks.training.roles import Roles
from tasks.training.trainer import Audience, Report, Trainer, Work, silent
from tasks.training.transfer import Parent, inherit
from tasks.training.watch import Observer


def fit(
    generator_class: type[DataGenerator],
    generator_params: Record,
    schema: DatasetSchema,
    batches: Batches,
    settings: TrainParams,
    *,
    seed: int,
    checkpoint: Checkpoint | None = None,
    report: Report = silent,
    key: bytes | None = None,
    roles: Roles | None = None,
    parent: Parent | None = None,
    observer: Observer | None = None,
) -> Fitted:
    """Train a generator on the rows of a dataset's main table.

    With `train.processes` above 1, or under torchrun, several processes share each batch; see
    `tasks.training.distributed`.

    Args:
        generator_class: what to train.
        generator_params: its settings, a record of its `Params`.
        schema: of the dataset.
        batches: starts a pass over the training rows; for several processes one that can be sent
            to them, such as `StoredRows`.
        settings: section `train` of params.yaml; what is null there comes from the recipe.
        seed: of the dataset.
        checkpoint: where to continue from and to save to; None trains in one go.
        report: called with all metrics of the training, also those from before a resume.
        key: secret, for differential privacy; never the same one for other work. None: a new one,
            with which nothing can be repeated or continued.
        roles: what the rows are for; None: all are real, and some of them, drawn at random, are
            kept for validation. With privacy all rows are alike.
        parent: the model that `settings.init_from` names, see `tasks.training.parents`.
        observer: who is shown samples of images and texts while the training runs.

    Raises:
        ParamsError: the generator cannot be trained with the privacy that is asked for, or cannot
            start from the weights of the parent.
        DataError: the rows cannot be encoded.
        TrainingError: too few rows, a loss that is not finite, no such device, no memory, or a
            process that ended early.
    """
    check_privacy(generator_class, settings)
    if (settings.init_from is None) != (parent is None):
        raise ParamsError(
            f"train.init_from is {settings.init_from!r}, but the caller gave"
            f" {parent.place if parent else 'no model'} to start from"
        )
    key = key or new_key()
    work = Work(
        generator_class, generator_params, schema, batches, settings, seed, key, roles, parent
    )
    if launched := distributed.launched():
        distributed.check_size(settings.processes, launched.size)
        return _join(work, launched, None, checkpoint, Audience(report, observer))
    device = choose_device(settings.device)
    size = distributed.affordable(settings.processes, device)
    folder = checkpoint.folder if checkpoint else None
    with distributed.helpers(size, _help, work, folder) as store:
        return _join(work, Group(size=size), store, checkpoint, Audience(report, observer))


def _help(group: Group, store: Path, work: Work, folder: Path | None) -> None:
    """What a process does that another one has started."""
    _join(work, group, store, Checkpoint(folder) if folder else None, Audience())


def _join(
    work: Work, group: Group, store: Path | None, checkpoint: Checkpoint | None, audience: Audience
) -> Fitted:
    """Take part in a training as one of its processes; all of them end with the same weights."""
    settings, encoder_class = work.settings, work.generator_class.encoder_class
    device = choose_device(settings.device, group.local_rank)
    with reproducible(device, settings.threads), distributed.member(group, device, store):
        private = Privacy(settings.privacy, work.batches, work.key) if settings.privacy else None
        encoder = private.fit_encoder(work.schema, encoder_class) if private else work.fit_encoder()
        try:
            budget = budget_bytes(device, settings.memory_gib)
            scratch = checkpoint.folder if checkpoint else None
            rows = Rows.encode(encoder, work.batches, device, budget, scratch)
            torch.set_num_threads(gainful_threads(settings.threads, work.schema.kind, rows.tensors))
            # Made on the CPU, so that the first weights are the same on every device.
            seed_torch(derive_seed(work.seed, "weights"), device)
            generator = work.generator_class(encoder, work.generator_params).to(device)
            inherited = (
                inherit(generator, encoder, work.parent, settings.freeze) if work.parent else None
            )
            training = Trainer(
                *(generator, encoder, rows, work),
                group=group,
                audience=audience,
                private=private,
                inherited=inherited,
            )
            with contextlib.nullcontext() if private else fast_products(device):
                training.run(checkpoint)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the {device.type} device has too little memory for this training: set"
                " train.memory_gib to what it has, lower train.batch_size, make the generator"
                " smaller, or set train.device to cpu"
            ) from error
        summary = training.summary()
        if work.parent and inherited:
            summary["parent"] = inherited.summary(work.parent)
        return Fitted(training.state.best_generator(), encoder, summary)
