"""How long the gradient of each row is, without making those gradients.

A layer's weights get their gradient from what goes into the layer and from the gradient of what
comes out. For a linear map of one vector a row, the gradient of a row is an outer product, whose
length is the product of two lengths: nothing of the size of the weights is made for a row
("ghost clipping"). Other layers make their gradients of rows, one layer at a time, and keep the
length.

Source:
    Goodfellow 2015, Efficient per-example gradient computations, arXiv:1510.01799.
    Li et al. 2022, Large language models can be strong differentially private learners, section 4,
    arXiv:2110.05679. The formulas of layers: Opacus (Yousefpour et al. 2021, arXiv:2109.12298).
Differs:
    The lengths come from gradients with regard to the layers' outputs (`torch.autograd.grad`)
    instead of backward hooks of Opacus' GradSampleModule, which read the first output of a layer
    only. So layers may give several tensors and run several times, and weights may be shared.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from tasks.errors import TrainingError

CHECKED_ROWS = 3
"""Rows whose lengths are compared with those of their true gradients before a training starts."""


CLOSED_FORM = "row_gradient_square_norms"
"""Method of our own layers: what goes in first, the gradients of what comes out, and what else goes
in -> (B,) squared lengths of the gradients of rows."""


class _Call(NamedTuple):
    """One run of one layer."""

    layer: nn.Module
    inputs: tuple[Any, ...]
    outputs: list[Tensor]


class RowGradients:
    """Lengths of the gradients of rows with regard to all weights of a network.

    Args:
        network: its forward pass gives one loss a row; a row's loss depends on no other row.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._weights = [p for p in network.parameters() if p.requires_grad]
        self._layers = [m for m in network.modules() if any(True for _ in _own(m))]
        owners = Counter(p for layer in self._layers for p in _own(layer).values())
        self._shared = {p for p, n in owners.items() if n > 1}

    def numbers_a_row(self) -> int:
        """Of the gradients that must be made for each row; at least 1."""
        made = [
            weight.numel()
            for layer in self._layers
            for weight in _own(layer).values()
            if weight in self._shared or not _has_closed_form(layer)
        ]
        return max(1, sum(made))

    def norms(self, losses: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """The losses of rows, and the Euclidean lengths of their gradients; no weight is touched.

        Args:
            losses: runs the network on the rows.

        Shape:
            returns: (B,) float with its graph, to go on from; (B,) float.
        """
        with self._recorded() as calls:
            value = losses()
        outputs = [tensor for call in calls for tensor in call.outputs]
        found = torch.autograd.grad(value.sum(), outputs, retain_graph=True, allow_unused=True)
        gradients = iter(found)
        square = value.new_zeros(len(value))
        runs = Counter(call.layer for call in calls)
        sums: dict[nn.Parameter, Tensor] = {}
        for call in calls:
            own = [
                torch.zeros_like(output) if gradient is None else gradient
                for output, gradient in zip(call.outputs, gradients, strict=False)
            ]
            alone = runs[call.layer] == 1 and self._shared.isdisjoint(_own(call.layer).values())
            if alone and (quick := _square_norms(call, own)) is not None:
                square = square + quick
                continue
            for weight, gradient in _row_gradients(call, own).items():
                sums[weight] = sums[weight] + gradient if weight in sums else gradient
        for gradient in sums.values():
            square = square + gradient.flatten(1).square().sum(dim=1)
        return value, square.sqrt()

    def check(self, losses: Callable[[slice], Tensor], n_rows: int) -> None:
        """See that the lengths are right, on a few rows one by one.

        Args:
            losses: runs the network on some of the rows.
            n_rows: that there are.

        Raises:
            TrainingError: they are not: the network uses weights outside of the layer that owns
                them, and its gradients cannot be clipped row by row. Or the network keeps what it
                has seen of rows, such as running means.
        """
        before = [buffer.clone() for buffer in self._network.buffers()]
        for i in range(min(CHECKED_ROWS, n_rows)):
            loss, norm = self.norms(lambda i=i: losses(slice(i, i + 1)))  # type: ignore[misc]
            true = torch.autograd.grad(loss.sum(), self._weights, allow_unused=True)
            expected = torch.stack([g.square().sum() for g in true if g is not None]).sum().sqrt()
            if not torch.allclose(norm[0], expected, rtol=1e-3, atol=1e-6):
                raise TrainingError(
                    f"{type(self._network).__name__} cannot be trained with privacy: it uses"
                    " weights outside of the layers that own them, or in a way that is not known"
                    f" (the gradient of a row has the length {float(expected):g}, its layers tell"
                    f" {float(norm[0]):g})"
                )
        if not all(map(torch.equal, before, self._network.buffers())):
            raise TrainingError(
                f"{type(self._network).__name__} cannot be trained with privacy: its forward pass"
                " keeps numbers of the rows in buffers, without noise"
            )

    @contextmanager
    def _recorded(self) -> Iterator[list[_Call]]:
        calls: list[_Call] = []

        def record(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            given = output if isinstance(output, tuple) else (output,)
            outputs = [t for t in given if isinstance(t, Tensor) and t.requires_grad]
            if outputs:
                calls.append(_Call(layer, inputs, outputs))

        hooks = [layer.register_forward_hook(record) for layer in self._layers]
        try:
            yield calls
        finally:
            for hook in hooks:
                hook.remove()


def _own(layer: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of the layer itself that are learned, without those of layers inside it."""
    return {n: p for n, p in layer.named_parameters(recurse=False) if p.requires_grad}


def _has_closed_form(layer: nn.Module) -> bool:
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    known = GradSampleModuleFastGradientClipping.NORM_SAMPLERS
    return hasattr(layer, CLOSED_FORM) or type(layer) in known


def _square_norms(call: _Call, gradients: list[Tensor]) -> Tensor | None:
    """(B,) squared lengths of the gradients of rows by a closed form; None: there is none."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    closed_form: Any = getattr(call.layer, CLOSED_FORM, None)
    if closed_form is not None:
        x, *others = call.inputs
        return cast(Tensor, closed_form(x.detach(), *gradients, *others))
    sampler = GradSampleModuleFastGradientClipping.NORM_SAMPLERS.get(type(call.layer))
    # Of a linear map, Opacus knows vectors and sequences of vectors.
    if sampler is None or gradients[0].ndim > 3:
        return None
    inputs = [t.detach() for t in call.inputs]
    norms = sampler(call.layer, inputs, gradients[0])
    return torch.stack([norm.square() for norm in norms.values()]).sum(dim=0)


def _row_gradients(call: _Call, gradients: list[Tensor]) -> dict[nn.Parameter, Tensor]:
    """The gradients of rows (B, ...) with regard to each weight of the layer."""
    from opacus.grad_sample import GradSampleModule

    inputs = [t.detach() if isinstance(t, Tensor) else t for t in call.inputs]
    sampler = GradSampleModule.GRAD_SAMPLERS.get(type(call.layer))
    if sampler is not None:
        found: dict[nn.Parameter, Tensor] = sampler(call.layer, inputs, gradients[0])
        return found
    return _by_functional_transform(call.layer, inputs, gradients)


def _by_functional_transform(
    layer: nn.Module, inputs: list[Any], gradients: list[Tensor]
) -> dict[nn.Parameter, Tensor]:
    """Run the layer once more, row by row, and differentiate: for layers that Opacus does not know."""
    own = _own(layer)
    rest = {n: t for n, t in layer.state_dict(keep_vars=True).items() if n not in own}

    def inner_product(weights: dict[str, Tensor], row: list[Any], back: list[Tensor]) -> Tensor:
        batch = tuple(t[None] if isinstance(t, Tensor) else t for t in row)
        output = torch.func.functional_call(layer, {**rest, **weights}, batch)
        given = output if isinstance(output, tuple) else (output,)
        tensors = [t for t in given if isinstance(t, Tensor) and t.is_floating_point()]
        products = [(t[0] * b).sum() for t, b in zip(tensors, back, strict=True)]
        return torch.stack(products).sum()

    places = [0 if isinstance(t, Tensor) else None for t in inputs]
    differentiate = torch.func.vmap(
        torch.func.grad(inner_product), in_dims=(None, places, 0), randomness="error"
    )
    found = differentiate({n: p.detach() for n, p in own.items()}, inputs, gradients)
    return {own[name]: gradient for name, gradient in found.items()}
