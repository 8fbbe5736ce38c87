"""Torch networks as fp32 files for OpenVINO: those of ONNX Runtime, which it reads as they are."""

from __future__ import annotations

from gossamer.deploy.runtimes.onnxruntime.export import export

__all__ = ["export"]
