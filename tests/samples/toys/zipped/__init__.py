"""The runtime `zipped`: an ONNX file and what it says of itself in a zip, run in numpy."""
