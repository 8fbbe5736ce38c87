"""OpenVINO on the CPU: ONNX files in fp32, fp16 (weights stored in halves) and int8."""
