"""The blocks that lightweight networks repeat. Each takes its norm and activation; none knows a network."""

from __future__ import annotations

from gossamer.nn.blocks.csp import CSPLayer, PyramidPooling
from gossamer.nn.blocks.dense import DenseLayer, DenseTransition
from gossamer.nn.blocks.esp import EESP, ESP, EESPDownsampler
from gossamer.nn.blocks.fire import Fire
from gossamer.nn.blocks.ghost import GhostBottleneck, GhostModule, LongRangeGate
from gossamer.nn.blocks.inception import Inception
from gossamer.nn.blocks.inverted import InvertedResidual, UniversalInvertedBottleneck
from gossamer.nn.blocks.reparameterised import RepConv
from gossamer.nn.blocks.residual import BasicBlock, Bottleneck, PaddedShortcut
from gossamer.nn.blocks.sandglass import Sandglass
from gossamer.nn.blocks.separable import DepthwiseSeparable, XceptionBlock
from gossamer.nn.blocks.shuffle import ShuffleUnitV1, ShuffleUnitV2
from gossamer.nn.blocks.star import StarBlock

__all__ = [
    "EESP",
    "ESP",
    "BasicBlock",
    "Bottleneck",
    "CSPLayer",
    "DenseLayer",
    "DenseTransition",
    "DepthwiseSeparable",
    "EESPDownsampler",
    "Fire",
    "GhostBottleneck",
    "GhostModule",
    "Inception",
    "InvertedResidual",
    "LongRangeGate",
    "PaddedShortcut",
    "PyramidPooling",
    "RepConv",
    "Sandglass",
    "ShuffleUnitV1",
    "ShuffleUnitV2",
    "StarBlock",
    "UniversalInvertedBottleneck",
    "XceptionBlock",
]
