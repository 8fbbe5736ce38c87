"""What errors of the weights do to a network, measured on pictures without labels (torch).

Inputs give the second moments of every layer (positions summed, mean over pictures); how much the loss feels of them
is one number a layer: the Fisher information's trace (labels drawn from the network's own shares) over that of the
moments. The full Fisher matrix of a few hundred pictures fits those pictures and no others; one number does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gossamer.compress.codebook.steps import LayerMoments, Loss
from gossamer.errors import DataError
from gossamer.nn.modes import taken_off
from gossamer.nn.objective import CLASS_SCORES, Objective

__all__ = ["bias_names", "divergence_from", "measure_moments", "network_tensors"]

_Layer = nn.Conv2d | nn.Linear


def network_tensors(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Parameters and buffers as arrays, in the order of the state dict."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def bias_names(network: nn.Module) -> dict[str, str]:
    """Weight tensor -> bias tensor, of the layers that have one and whose moments are measured."""
    return {
        f"{name}.weight": f"{name}.bias" for name, layer in _layers(network).items() if layer.bias is not None
    }


def measure_moments(
    network: nn.Module,
    batches: Sequence[Tensor],
    *,
    seed: int = 0,
    most_columns: int | None = None,
    objective: Objective = CLASS_SCORES,
) -> dict[str, LayerMoments]:
    """Weight tensor -> moments, of convolutions without groups and linear layers; batches are (B, C, H, W).

    Layers whose filters have more than `most_columns` weights are left out: moments are squares of them. The network is put into eval mode and back; no gradient is left behind.

    Raises:
        DataError: there are no pictures, or the network gives no numbers for them.
    """
    if not sum(len(batch) for batch in batches):
        raise DataError("calibration needs pictures, got none; give some of the kind the network will see")
    sums = {
        name: _Sums(layer)
        for name, layer in _layers(network).items()
        if most_columns is None or layer.weight[0].numel() <= most_columns
    }
    generator = torch.Generator().manual_seed(seed)
    with _in_eval(network), _watched(network, sums):
        for batch in batches:
            scores = network(batch.detach().requires_grad_())
            if not torch.isfinite(scores).all():
                raise DataError(
                    "the network gives NaN for calibration pictures; check their size and the weights"
                )
            taken = objective.loss_sum(scores, objective.drawn(scores, generator))
            calls = [(each, *call) for each in sums.values() for call in each.calls]
            gradients = torch.autograd.grad(
                taken, [output for _, _, output in calls], allow_unused=True, materialize_grads=True
            )
            for (each, inputs, _), gradient in zip(calls, gradients, strict=True):
                each.add(inputs, gradient)
            for each in sums.values():
                each.calls.clear()
    return {f"{name}.weight": each.moments() for name, each in sums.items() if each.pictures}


def _layers(network: nn.Module) -> dict[str, _Layer]:
    """The layers whose filters share their inputs."""
    return {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
    }


class _Sums:
    """Running sums of one layer over pictures."""

    def __init__(self, layer: _Layer) -> None:
        self._layer = layer
        columns = layer.weight[0].numel()
        self._second = torch.zeros(columns, columns, dtype=torch.float64)
        self._first = torch.zeros(columns, dtype=torch.float64)
        self._felt = 0.0
        self._positions = 0
        self.pictures = 0
        self.calls: list[tuple[Tensor, Tensor]] = []
        """(inputs, outputs) of the pass at hand."""

    def add(self, inputs: Tensor, gradient: Tensor) -> None:
        """Pictures (B, ...) as the layer saw them, and the loss's gradient (B, O, ...) at its output."""
        for picture, slope in zip(inputs, gradient, strict=True):
            columns = self._columns(picture)
            rows = (
                slope.flatten(1)
                if isinstance(self._layer, nn.Conv2d)
                else slope.reshape(-1, slope.shape[-1]).T
            )
            self._second += (columns @ columns.T).double()
            self._first += columns.sum(1).double()
            self._felt += float((rows @ columns.T).square().sum())
            self._positions += columns.shape[1]
        self.pictures += len(inputs)

    def _columns(self, picture: Tensor) -> Tensor:
        """What each filter sees at each position, (D, positions)."""
        layer = self._layer
        if isinstance(layer, nn.Linear):
            return picture.reshape(-1, layer.in_features).T
        padding = layer.padding if not isinstance(layer.padding, str) else _same(layer)
        return functional.unfold(
            picture[None], layer.kernel_size, padding=padding, stride=layer.stride, dilation=layer.dilation
        )[0]

    def moments(self) -> LayerMoments:
        """The moments of the pictures seen."""
        mean = self._first / max(1, self._positions)
        about = (self._second - self._positions * torch.outer(mean, mean)) / self.pictures
        felt = self._felt / self.pictures / len(self._layer.weight)
        trace = float(torch.trace(about))
        sensitivity = felt / trace if trace > 0 else 0.0
        positions = self._positions / self.pictures
        return LayerMoments(
            (sensitivity * about).numpy(), mean.numpy().astype(np.float64), sensitivity * positions
        )


def _same(layer: nn.Conv2d) -> tuple[int, int]:
    """The padding that 'same' and 'valid' stand for."""
    if layer.padding == "valid":
        return 0, 0
    (kh, kw), (dh, dw) = layer.kernel_size, layer.dilation
    return dh * (kh - 1) // 2, dw * (kw - 1) // 2


@contextmanager
def _watched(network: nn.Module, sums: Mapping[str, _Sums]) -> Iterator[None]:
    """Inputs and outputs of the layers are kept for the pass at hand."""
    handles = []
    for name, each in sums.items():

        def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, each: _Sums = each) -> Tensor:
            each.calls.append((inputs[0].detach().clone(), output))
            return output.clone()  # an activation in place changes the copy

        handles.append(network.get_submodule(name).register_forward_hook(keep))
    with taken_off(handles):
        yield


@contextmanager
def _in_eval(network: nn.Module) -> Iterator[None]:
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


def divergence_from(
    network: nn.Module, batches: Sequence[Tensor], objective: Objective = CLASS_SCORES
) -> Loss:
    """Mean divergence a picture (of class scores in nats) of a network with other tensors from the one given.

    The network is used in turn with its own tensors and with others, and left with its own.

    Raises:
        DataError: there are no pictures.
    """
    if not sum(len(batch) for batch in batches):
        raise DataError("calibration needs pictures, got none; give some of the kind the network will see")
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    before = _outputs(network, batches)

    def loss(tensors: Mapping[str, NDArray[Any]]) -> float:
        try:
            network.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in tensors.items()})
            after = _outputs(network, batches)
        finally:
            network.load_state_dict(own)
        return float(objective.divergence(before, after)) / len(before)

    return loss


def _outputs(network: nn.Module, batches: Sequence[Tensor]) -> Tensor:
    run: Callable[[Tensor], Tensor] = network
    with torch.no_grad(), _in_eval(network):
        return torch.cat([run(batch) for batch in batches])
