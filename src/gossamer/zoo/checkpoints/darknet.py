"""darknet: a .weights file and the .cfg of the same stem beside it, without which the numbers have no shapes.

Source: https://github.com/AlexeyAB/darknet, src/parser.c (load_weights_upto, load_convolutional_weights). A header of
three int32 (major, minor, revision) and the pictures seen (int64, int32 before version 0.2), then for each section
[convolutional] float32: biases, where it has batch_normalize scales, means and variances, then weights (out,
in / groups, size, size). With batch_normalize the biases are the norm's.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints._bytes import ByteReader, read_bytes, read_text, whole_number

__all__ = ["read"]

KEEPING = frozenset(
    {"avgpool", "cost", "crop", "detection", "dropout", "gaussian_yolo", "local_avgpool", "max", "maxpool"}
    | {"region", "sam", "scale_channels", "shortcut", "soft", "softmax", "upsample", "yolo"}
)
"""Sections without weights whose output has the channels of the section before."""
CHANGING = ("dontload", "dontloadscales", "flipped", "share_layer", "weights_type")
"""Options that change what a section keeps in the file."""


class Section(NamedTuple):
    """One [kind] of a cfg, with its options, numbered from 0 after [net]."""

    kind: str
    label: str
    options: dict[str, str]


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a darknet network in the order of the cfg, named by section: "0.conv.weight", "0.bn.weight".

    Raises:
        ModelError: the cfg is missing or holds sections other than convolutional ones that keep weights, or the files
            do not fit each other.
    """
    cfg = path.with_suffix(".cfg")
    if not cfg.is_file():
        raise ModelError(
            f"darknet weights need their .cfg, there is no {cfg}; put it beside {path.name} under that name"
        )
    net, *sections = _sections(cfg)
    if net.kind not in ("net", "network"):
        raise ModelError(f"a darknet cfg starts with [net], {cfg} with [{net.kind}]; give the original cfg")
    source = ByteReader(read_bytes(path), path)
    version = source.take(3, torch.int32, "the header").tolist()
    old = version[0] * 10 + version[1] < 2
    source.take(1, torch.int32 if old else torch.int64, "the header")
    state: dict[str, Tensor] = {}
    channels: list[int] = []
    before = _option(net, "channels", 3, cfg)
    for number, section in enumerate(sections):
        if section.kind in ("conv", "convolutional"):
            state |= _convolution(number, section, before, source, cfg)
        after = _channels_after(section, before, channels, cfg)
        before = whole_number(after, f"channels of {section.label}", cfg)
        channels.append(before)
    source.finish()
    return state


def _sections(cfg: Path) -> list[Section]:
    """The sections of a cfg, [net] first; darknet ignores spaces and lines that start with # or ;."""
    found: list[Section] = []
    for line in read_text(cfg).splitlines():
        text = "".join(line.split())
        if text.startswith("["):
            kind = text.strip("[]").lower()[:40]
            found.append(Section(kind, f"section {len(found) - 1} [{kind}]", {}))
        elif text and text[0] not in "#;":
            key, equals, value = text.partition("=")
            if not equals or not found:
                raise ModelError(
                    f"a darknet cfg holds [sections] of key=value, {cfg} has {line!r:.60}; mend it"
                )
            found[-1].options[key] = value.partition("#")[0]
    if not found:
        raise ModelError(f"a darknet cfg starts with [net], {cfg} holds no section; give the original cfg")
    return found


def _option(section: Section, key: str, default: int, cfg: Path) -> int:
    return whole_number(section.options.get(key, default), f"{key} of {section.label}", cfg)


def _convolution(
    number: int, section: Section, in_channels: int, source: ByteReader, cfg: Path
) -> dict[str, Tensor]:
    out, size, groups = (_option(section, key, 1, cfg) for key in ("filters", "size", "groups"))
    if min(out, size, groups) < 1 or in_channels % groups or out % groups:
        raise ModelError(
            f"{cfg}: groups divide channels, {section.label} has in={in_channels}, filters={out}, size={size}, "
            f"groups={groups}; give the original cfg"
        )
    shape = (out, in_channels // groups, size, size)
    bias = source.floats((out,), section.label)
    if not _option(section, "batch_normalize", 0, cfg):
        return {
            f"{number}.conv.weight": source.floats(shape, section.label),
            f"{number}.conv.bias": bias,
        }
    scale, mean, variance = (source.floats((out,), section.label) for _ in range(3))
    return {
        f"{number}.conv.weight": source.floats(shape, section.label),
        f"{number}.bn.weight": scale,
        f"{number}.bn.bias": bias,
        f"{number}.bn.running_mean": mean,
        f"{number}.bn.running_var": variance,
    }


def _channels_after(section: Section, before: int, channels: list[int], cfg: Path) -> int:
    """Channels of a section's output; `channels` are those of all sections before it."""
    changing = [key for key in CHANGING if section.options.get(key, "0") not in ("0", "none")]
    if changing:
        raise ModelError(
            f"{cfg}: {section.label} sets {changing[0]}, which we do not read; give a network without"
        )
    if section.kind in ("conv", "convolutional"):
        return _option(section, "filters", 1, cfg)
    if section.kind == "route":
        return _routed(section, channels, cfg)
    if section.kind == "reorg":
        return before * _option(section, "stride", 1, cfg) ** 2
    if section.kind in KEEPING:
        return before
    raise ModelError(
        f"{cfg}: {section.label} may keep weights and we do not read it; give a network of convolutions"
    )


def _routed(section: Section, channels: list[int], cfg: Path) -> int:
    """A route stacks the layers it names, counted from itself where negative, and may keep one of `groups` parts."""
    total = 0
    for text in section.options.get("layers", "").split(","):
        try:
            layer = int(text)
            total += channels[layer if layer >= 0 else len(channels) + layer]
        except (ValueError, IndexError) as error:
            raise ModelError(
                f"{cfg}: {section.label} names layers before it, got {text!r:.20}; give the original cfg"
            ) from error
    groups = _option(section, "groups", 1, cfg)
    if groups < 1 or total % groups:
        raise ModelError(
            f"{cfg}: groups divide channels, {section.label} has {total} and groups={groups}; give the original cfg"
        )
    return total // groups
