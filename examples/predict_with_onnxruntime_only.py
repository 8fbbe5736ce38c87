"""Predict with the exported file alone: onnxruntime, numpy and Pillow; neither gossamer nor torch.

    python predict_with_onnxruntime_only.py model.onnx picture.jpg [picture.jpg ...]

The file carries its own input contract and class names in its metadata, under the key "gossamer".
"""

import json
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps


def prepare(path: str, contract: dict) -> np.ndarray:
    """One 8-bit picture as the network's input, (1, 3, H, W)."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    height, width = contract["size"]
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)  # the rule "short-side-centre-crop"
    image = image.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    pixels = np.asarray(image, np.float32) * contract["scale"] + contract["offset"]
    pixels = (pixels - np.float32(contract["mean"])) / np.float32(contract["std"])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)


def main() -> None:
    """Print the best class of each picture with its score."""
    model, *pictures = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    document = json.loads(session.get_modelmeta().custom_metadata_map["gossamer"])
    for picture in pictures:
        logits = session.run(None, {"input": prepare(picture, document["input"])})[0][0]
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        best = int(scores.argmax())
        sys.stdout.write(f"{picture}  {document['labels'][best]} {scores[best]:.3f}\n")


if __name__ == "__main__":
    main()
