"""Packed files: weights as codes, codes as few bits, and a container that is checked to the last byte.

Writing and reading need numpy only, running ONNX Runtime. `tensors` is the way in; `fileformat` is the container, `codecs`
turn one tensor into integers and back, `rans` and `huffman` turn integers into bits, `graph` is the network without its
numbers. What is lost is chosen in `gossamer.compress.codebook`.
"""
