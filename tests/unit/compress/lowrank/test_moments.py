"""Second moments are those of what the layers see, exact where they say so."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gossamer.compress.lowrank import moments
from gossamer.compress.lowrank.moments import second_moments
from gossamer.errors import GossamerError, ModelError


def _pictures(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_energy_of_outputs_is_the_weight_behind_the_moment():
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, 2, bias=False), nn.ReLU(), nn.Conv2d(6, 4, 1, 2, bias=False)
    )
    pictures = _pictures(10, 3, 11, 9)
    found = second_moments(network, pictures, ["0", "2"])
    with torch.no_grad():
        first = network[0](pictures)
        outputs = {"0": first, "2": network[2](first.relu())}
    for name, output in outputs.items():
        weight = network.get_submodule(name).weight.detach().double().flatten(1)
        energy = float(((weight @ found[name].seen) * weight).sum())
        assert energy == pytest.approx(float(output.square().sum(1).mean()), rel=1e-4)


def test_columns_and_pixels_are_means_over_a_patch():
    pictures = _pictures(2, 3, 8, 8).cumsum(2)
    moment = second_moments(nn.Sequential(nn.Conv2d(3, 2, (2, 3))), pictures, ["0"])["0"]
    columns = F.unfold(pictures, (2, 1))
    inner = torch.cat([F.unfold(pictures[..., w : w + 6], (2, 1)) for w in range(3)], 2).double()
    assert columns.shape[1] == moment.column.shape[0] == 6
    expected = torch.einsum("nip,njp->ij", inner, inner) / (2 * inner.shape[2])
    seen = moment.seen.reshape(6, 3, 6, 3).diagonal(dim1=1, dim2=3).mean(-1)
    assert torch.allclose(seen, expected, atol=1e-4)
    assert torch.allclose(moment.mean, inner.mean((0, 2)) * (84 / (84 + 18)) ** 0.5, atol=1e-5)
    assert moment.pixel.shape == (3, 3)
    assert float(moment.pixel.trace()) == pytest.approx(float(moment.column.trace()) / 2)


def test_large_patches_are_left_to_pixels(monkeypatch):
    monkeypatch.setattr(moments, "EXACT_UP_TO", 26)
    pictures = _pictures(2, 3, 8, 8)
    moment = second_moments(nn.Sequential(nn.Conv2d(3, 2, 3)), pictures, ["0"])["0"]
    assert moment.patch is None
    flat = pictures.transpose(0, 1).flatten(1).double()
    assert torch.allclose(moment.pixel, _shrunk(flat @ flat.T / flat.shape[1], 128), atol=1e-5)
    assert torch.allclose(moment.column[0::3, 0::3], moment.pixel)
    assert torch.allclose(moment.column[0::3, 1::3], torch.outer(moment.mean[::3], moment.mean[::3]))


def _shrunk(square, samples):
    size = len(square)
    white = torch.eye(size).double() * square.diagonal().mean()
    return (samples * square + size * white) / (samples + size)


def test_linear_layers_on_tokens():
    network = nn.Sequential(nn.Flatten(2), nn.Linear(20, 5))
    pictures = _pictures(3, 2, 4, 5)
    moment = second_moments(network, pictures, ["1"])["1"]
    flat = pictures.reshape(6, 20).double()
    assert torch.allclose(moment.pixel, _shrunk(flat.T @ flat / 6, 6), atol=1e-5)


def test_layers_of_very_many_inputs_have_no_moment(monkeypatch):
    monkeypatch.setattr(moments, "LARGEST", 19)
    network = nn.Sequential(nn.Flatten(2), nn.Linear(20, 5), nn.Linear(5, 3))
    assert set(second_moments(network, _pictures(3, 2, 4, 5), ["1", "2"])) == {"2"}


def test_the_network_is_left_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    before = network[1].running_mean.clone()
    second_moments(network, _pictures(2, 3, 4, 4), ["0"])
    assert network.training
    assert torch.equal(network[1].running_mean, before)
    assert not network[0]._forward_pre_hooks


@pytest.mark.parametrize(
    "pictures", [torch.zeros(0, 3, 4, 4), torch.zeros(3, 4, 4), torch.full((1, 3, 4, 4), float("nan"))]
)
def test_pictures_that_are_none(pictures):
    with pytest.raises(GossamerError, match="calibration pictures are finite numbers"):
        second_moments(nn.Sequential(nn.Conv2d(3, 4, 1)), pictures, ["0"])


def test_pictures_that_do_not_fit():
    with pytest.raises(ModelError, match=r"does not run on calibration pictures of shape \(1, 5, 4, 4\)"):
        second_moments(nn.Sequential(nn.Conv2d(3, 4, 1)), torch.zeros(1, 5, 4, 4), ["0"])
