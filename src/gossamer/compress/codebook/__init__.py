"""The smallest file: weights as codes, codes as few bits, and a container that is checked to the last byte.

Writing and reading need numpy only. `packed` is the way in; `fileformat` is the container, `codecs` turn one tensor
into integers and back, `rans` and `huffman` turn integers into bits. `steps` and `feedback` choose what is lost;
`calibrate` (torch) measures what a network makes of it.
"""
