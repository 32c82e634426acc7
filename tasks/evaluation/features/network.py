"""A small convolutional classifier, learned from the images at hand: the same bits every time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 64)
"""Channels of the three stages, each of which halves the sides."""

N_FEATURES = 64

MAX_LEARNED = 20_000
"""Images that are learned from at most."""

SEEN = 40_000
"""Images that training looks at, over all epochs, where the epochs allow."""

MIN_EPOCHS, MAX_EPOCHS = 4, 40

MIN_STEPS = 200
"""Steps at least, in more epochs than `MAX_EPOCHS` of few images: after 40 of them, a network of 30
images may be no better than chance."""

MIN_CHECKED = 10
"""Images that tell which epoch did best; fewer would choose by luck, so the last weights stay."""

BATCH = 64

_LEARNING_RATE, _WEIGHT_DECAY = 3e-3, 1e-2

_SHIFTED_SIDE = 8
"""Images whose sides have fewer pixels are not shifted: a pixel is too much of them."""

_BLOCK = 1024
"""Images that are looked at together once it has learned."""


class Classifier(nn.Module):
    """Three convolutions with batch normalisation and pooling, then two dense layers.

    It takes images of any size, 1 x 1 too.

    Shape:
        forward: (B, C, H, W) float32 in [-1, 1] to (B, n_classes) logits.

    Source: LeCun et al. 1998, doi:10.1109/5.726791; Ioffe and Szegedy 2015, arXiv:1502.03167.
    """

    def __init__(self, n_channels: int, n_classes: int) -> None:
        """Args: n_channels: 1 or 3; n_classes: at least 2."""
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((n_channels, *WIDTHS), WIDTHS, strict=False):
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
        self.body = nn.Sequential(
            *layers[:-1],
            nn.AdaptiveMaxPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * WIDTHS[-1], N_FEATURES),
            nn.BatchNorm1d(N_FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(N_FEATURES, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the classes."""
        logits: Tensor = self.head(self.body(images))
        return logits

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Shape: (N, H, W, C) uint8 to (N, N_FEATURES) float64, of the layer before the last."""
        return self._applied(self.body, pixels, N_FEATURES)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Shape: (N, H, W, C) uint8 to (N, n_classes) float64."""
        whole = nn.Sequential(self.body, self.head, nn.Softmax(dim=1))
        return self._applied(whole, pixels, self.head.out_features)

    def _applied(self, layers: nn.Module, pixels: np.ndarray, width: int) -> np.ndarray:
        layers.eval()
        found = np.empty((len(pixels), width))
        with one_thread(), torch.no_grad():
            for start in range(0, len(pixels), _BLOCK):
                block = slice(start, start + _BLOCK)
                found[block] = layers(_as_tensor(pixels[block])).double().numpy()
        return found


def learn(
    pixels: np.ndarray, classes: np.ndarray, n_classes: int, rng: np.random.Generator
) -> Classifier:
    """A classifier of these images, of the epoch in which it did best on a tenth of them.

    Of fewer than 100 it learns from all, to the end.
    With 3,500 images of 28 x 28 pixels it takes 10 CPU seconds.

    Args:
        pixels: of the images; `MAX_LEARNED` of them are learned from at most.
        classes: of the images, from 0.
        n_classes: how many there are, those without an image too.
        rng: all randomness comes from it.

    Shape:
        pixels: (N, H, W, C) uint8, N at least 4.
        classes: (N,) int.

    Source: one cycle of the learning rate, Smith and Topin 2019, arXiv:1708.07120; AdamW,
    Loshchilov and Hutter 2019, arXiv:1711.05101.
    """
    order = rng.permutation(len(pixels))[:MAX_LEARNED]
    n_checked = len(order) // 10 if len(order) >= 10 * MIN_CHECKED else 0
    checked, learned = order[:n_checked], order[n_checked:]
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63)))
        model = Classifier(pixels.shape[3], n_classes)
        return _fitted(
            model,
            (_as_tensor(pixels[learned]), torch.from_numpy(classes[learned].astype(np.int64))),
            (_as_tensor(pixels[checked]), torch.from_numpy(classes[checked].astype(np.int64))),
            rng,
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """With one thread sums have one order, so every machine of a kind gives the same bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fitted(
    model: Classifier,
    learned: tuple[Tensor, Tensor],
    checked: tuple[Tensor, Tensor],
    rng: np.random.Generator,
) -> Classifier:
    images, classes = learned
    size = min(BATCH, len(images))
    n_batches = len(images) // size
    n_epochs = min(MAX_EPOCHS, max(MIN_EPOCHS, math.ceil(SEEN / len(images))))
    n_epochs = max(n_epochs, math.ceil(MIN_STEPS / n_batches))
    optimizer = torch.optim.AdamW(model.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _LEARNING_RATE, total_steps=n_epochs * n_batches
    )
    best, lowest = model.state_dict(), math.inf
    for _ in range(n_epochs):
        model.train()
        order = torch.from_numpy(rng.permutation(len(images)))
        # A last batch of a few images would be normalised by them alone.
        for batch in torch.split(order, size)[:n_batches]:
            logits = model(_shifted(images[batch], rng))
            optimizer.zero_grad()
            loss_now = functional.cross_entropy(logits, classes[batch])
            torch.autograd.backward(loss_now)
            optimizer.step()
            schedule.step()
        if len(checked[0]) and (loss := _loss(model, checked)) < lowest:
            best, lowest = {name: one.clone() for name, one in model.state_dict().items()}, loss
    if len(checked[0]):
        model.load_state_dict(best)
    return model.eval()


def _loss(model: Classifier, checked: tuple[Tensor, Tensor]) -> float:
    model.eval()
    with torch.no_grad():
        return float(functional.cross_entropy(model(checked[0]), checked[1]))


def _shifted(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A batch moved by at most a pixel: what is a pixel off is alike, and less is learned by heart."""
    if min(images.shape[2:]) < _SHIFTED_SIDE:
        return images
    down, right = rng.integers(-1, 2, 2).tolist()
    return images.roll((down, right), (2, 3))


def _as_tensor(pixels: np.ndarray) -> Tensor:
    """Shape: (N, H, W, C) uint8 to (N, C, H, W) float32 in [-1, 1]."""
    channels_first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    return torch.from_numpy(channels_first).float() / 127.5 - 1
