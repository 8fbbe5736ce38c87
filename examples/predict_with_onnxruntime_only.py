"""Predict with the exported file alone: onnxruntime, numpy and Pillow; neither gossamer nor torch.

    python predict_with_onnxruntime_only.py model.onnx picture.jpg [picture.jpg ...]

The file carries its own input contract, task and labels in its metadata, under the key "gossamer".
"""

import json
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps

RULE = "short-side-centre-crop"


def prepare(path: str, contract: dict) -> np.ndarray:
    """One 8-bit picture as the network's input, (1, 3, H, W)."""
    if contract["resize"] != RULE or len(contract["bands"]) != 3:
        sys.exit(f"error: this program knows RGB and {RULE}, the file wants {contract}; use gossamer predict")
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    height, width = contract["size"]
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)  # the middle
    image = image.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    pixels = np.asarray(image, np.float32) * contract["scale"] + contract["offset"]
    pixels = (pixels - np.float32(contract["mean"])) / np.float32(contract["std"])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)


def answer(outputs: np.ndarray, document: dict) -> str:
    """What the outputs (D,) say: the best class, the labels that are there, or the numbers."""
    task, labels = document.get("task", "classify"), document["labels"]
    if task == "regress":
        said = zip(labels, outputs, strict=True)
    elif task == "multi-label":
        shares = 1 / (1 + np.exp(-outputs))
        said = [(labels[i], shares[i]) for i in np.argsort(-shares) if shares[i] > 0.5]
    else:
        outputs = outputs / document.get("temperature", 1.0)
        shares = np.exp(outputs - outputs.max())
        shares /= shares.sum()
        said = [(labels[int(shares.argmax())], shares.max())]
    return "  ".join(f"{label} {value:.3f}" for label, value in said) or "(no label)"


def main() -> None:
    """Print what the file says of each picture."""
    model, *pictures = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    document = json.loads(session.get_modelmeta().custom_metadata_map["gossamer"])
    for picture in pictures:
        outputs = session.run(None, {"input": prepare(picture, document["input"])})[0][0]
        said = answer(outputs, document)
        sys.stdout.write(f"{picture}  {said}\n")


if __name__ == "__main__":
    main()
