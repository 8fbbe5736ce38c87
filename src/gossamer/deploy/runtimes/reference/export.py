"""Torch networks as fp32 files for the reference: those of ONNX Runtime."""

from __future__ import annotations

from gossamer.deploy.runtimes.onnxruntime.export import export

__all__ = ["export"]
