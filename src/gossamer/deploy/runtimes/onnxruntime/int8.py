"""What makes fp16 and int8 files for ONNX Runtime, and what stays float in them: the parts of the neighbours, joined."""

from __future__ import annotations

from gossamer.deploy.runtimes.onnxruntime.floats import float_operators
from gossamer.deploy.runtimes.onnxruntime.post_training import LADDER, to_fp16, to_int8
from gossamer.deploy.runtimes.onnxruntime.sensitivity import keep_worst

__all__ = ["LADDER", "float_operators", "keep_worst", "to_fp16", "to_int8"]
