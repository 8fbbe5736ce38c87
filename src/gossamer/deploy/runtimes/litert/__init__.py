"""LiteRT (TensorFlow Lite) on the CPU: .tflite files in fp32, fp16 (weights stored in halves) and int8."""
