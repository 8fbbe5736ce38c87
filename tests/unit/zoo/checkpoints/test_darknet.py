"""darknet: shapes come from the cfg, numbers from the weights, and each is held against the other."""

from __future__ import annotations

import struct

import pytest
import torch

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.checkpoints.darknet import read

CFG = """
# a comment, then one in another encoding
[net]
channels = 3
width=32

[convolutional]
batch_normalize=1
filters=4
size=3
activation=leaky

[convolutional]
batch_normalize=1
groups=4
filters=4
size=3

[maxpool]
size=2

[route]
layers = -1, 0

[dropout]

[convolutional]
filters=2
size=1
activation=linear

[yolo]
mask=0,1
"""
COUNT = 4 * 4 + 4 * 3 * 9 + 4 * 4 + 4 * 9 + 2 + 2 * 8


def _write(folder, cfg=CFG, count=COUNT, header=None, extra=b""):
    """w.cfg and w.weights; the floats are 0, 1, 2, ... in the order of the file."""
    (folder / "w.cfg").write_bytes(cfg.encode("latin-1"))
    header = struct.pack("<3iq", 0, 2, 5, 64) if header is None else header
    (folder / "w.weights").write_bytes(header + struct.pack(f"<{count}f", *range(count)) + extra)
    return folder / "w.weights"


@pytest.mark.parametrize(
    "header",
    [struct.pack("<3iq", 0, 2, 5, 64), struct.pack("<3iq", 1, 0, 0, 2**40), struct.pack("<4i", 0, 1, 0, 64)],
)
def test_tensors_in_the_order_of_the_network(tmp_path, header):
    found = read_checkpoint(_write(tmp_path, header=header))
    expected = {
        "0.conv.weight": torch.arange(16.0, 124).reshape(4, 3, 3, 3),
        "0.bn.weight": torch.arange(4.0, 8),
        "0.bn.bias": torch.arange(0.0, 4),
        "0.bn.running_mean": torch.arange(8.0, 12),
        "0.bn.running_var": torch.arange(12.0, 16),
        "1.conv.weight": torch.arange(140.0, 176).reshape(4, 1, 3, 3),
        "1.bn.weight": torch.arange(128.0, 132),
        "1.bn.bias": torch.arange(124.0, 128),
        "1.bn.running_mean": torch.arange(132.0, 136),
        "1.bn.running_var": torch.arange(136.0, 140),
        "5.conv.weight": torch.arange(178.0, 194).reshape(2, 8, 1, 1),
        "5.conv.bias": torch.arange(176.0, 178),
    }
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("between", "channels"),
    [
        ("[upsample]\nstride=2", 4),
        ("[reorg]\nstride=2", 16),
        ("[route]\nlayers=0\ngroups=2\ngroup_id=1", 2),
        ("[route]\nlayers=-1\n[shortcut]\nfrom=-1\nactivation=linear", 4),
        ("[shortcut]\nfrom=-1\nweights_type=none", 4),
        ("[route]\nlayers=0,-1\n[route]\nlayers=-1,-2", 12),
    ],
)
def test_channels_follow_the_layers_between(tmp_path, between, channels):
    cfg = f"[net]\nchannels=1\n[convolutional]\nfilters=4\n{between}\n[convolutional]\nfilters=1\n"
    found = read(_write(tmp_path, cfg, 4 + 4 + 1 + channels))
    assert [v.shape[1] for v in found.values() if v.dim() == 4] == [1, channels]


@pytest.mark.parametrize("length", [0, 10, 16, 19, 21, 20 + 4 * 100, -1, -4])
def test_a_truncated_file_is_refused(tmp_path, length):
    path = _write(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        ModelError,
        match=r"w\.weights ends too early: (the header|section \d \[convolutional\]) needs \d+ bytes",
    ):
        read(path)


def test_trailing_bytes_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"w\.weights goes on after its last layer: 4 bytes are left"):
        read(_write(tmp_path, extra=bytes(4)))


def test_a_missing_cfg_is_named(tmp_path):
    path = _write(tmp_path)
    path.with_suffix(".cfg").unlink()
    with pytest.raises(
        ModelError, match=r"need their \.cfg, there is no .*w\.cfg; put it beside w\.weights under that name"
    ):
        read(path)


def test_a_billion_filters_are_refused_before_memory_is_asked_for(tmp_path):
    cfg = "[net]\n[convolutional]\nfilters=2000000000\nsize=2000000000\nbatch_normalize=1\n"
    with pytest.raises(
        ModelError, match=r"ends too early: section 0 .* needs 8000000000 bytes, 400 are left"
    ):
        read(_write(tmp_path, cfg, 100))


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("", r"starts with \[net\], .* holds no section"),
        ("filters=3\n[net]\n", r"holds \[sections\] of key=value, .* has 'filters=3'"),
        ("[net]\n[convolutional]\nfilters\n", r"holds \[sections\] of key=value, .* has 'filters'; mend it"),
        ("[convolutional]\n", r"starts with \[net\], .*w\.cfg with \[convolutional\]"),
        ("[net]\n[convolutional]\nfilters=x\n", r"filters of section 0 \[convolutional\] is a whole number .* got 'x'"),
        ("[net]\n[convolutional]\nfilters=1000000000000\n", "is a whole number up to 2147483647, got '1000000000000'"),
        ("[net]\n[convolutional]\nfilters=0\n", "groups divide channels, section 0 .* filters=0"),
        ("[net]\n[convolutional]\ngroups=0\n", "groups divide channels, section 0 .* groups=0"),
        ("[net]\nchannels=3\n[convolutional]\ngroups=2\nfilters=2\n", r"groups divide channels, .* has in=3"),
        ("[net]\n[route]\nlayers=-1\n", r"section 0 \[route\] names layers before it, got '-1'"),
        ("[net]\n[maxpool]\n[route]\nlayers=1\n", r"section 1 \[route\] names layers before it, got '1'"),
        ("[net]\n[route]\n", "names layers before it, got ''"),
        ("[net]\n[maxpool]\n[route]\nlayers=0\ngroups=2\n", r"groups divide channels, .* has 3 and groups=2"),
        ("[net]\n[connected]\noutput=3\n", r"section 0 \[connected\] may keep weights and we do not read it"),
        ("[net]\n[shrubbery]\n", r"section 0 \[shrubbery\] may keep weights and we do not read it"),
        ("[net]\n[maxpool]\n[shortcut]\nweights_type=per_channel\n", "sets weights_type, which we do not read"),
        ("[net]\nchannels=2000\n" + "[reorg]\nstride=2000\n", "channels of section 0 .* is a whole number"),
    ],
)  # fmt: skip
def test_a_cfg_that_does_not_hold_together_is_refused(tmp_path, cfg, message):
    with pytest.raises(ModelError, match=message) as caught:
        read(_write(tmp_path, cfg, 0))
    assert "w.cfg" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_option_that_changes_the_file_is_refused(tmp_path):
    cfg = "[net]\n[convolutional]\nshare_layer=-1\n"
    with pytest.raises(
        ModelError, match=r"section 0 \[convolutional\] sets share_layer, which we do not read"
    ):
        read(_write(tmp_path, cfg, 4))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "floats"), [("yolo-fastest-1.1", 346_062), ("yolo-fastest-1.1-xl", 923_486)]
)
def test_published_files(shared, name, floats):
    found = read(
        shared / "weights" / "yolo-fastest-1.1" / "ModelZoo" / "yolo-fastest-1.1_coco" / f"{name}.weights"
    )
    assert sum(v.numel() for v in found.values()) == floats
    assert sum(v.dim() == 4 for v in found.values()) == 84
    assert sum(k.endswith("conv.bias") for k in found) == 2  # the two heads
    assert all(v.min() > 0 for k, v in found.items() if k.endswith("running_var"))
