"""ONNX files in numpy: onnx's own evaluator, fp32, slow and right. It needs nothing installed, so tests run it anywhere."""
