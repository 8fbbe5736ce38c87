"""ONNX Runtime on the CPU: fp32, fp16 (weights stored in halves) and int8 files."""
