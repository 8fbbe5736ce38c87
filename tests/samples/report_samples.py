"""Documents that the tests of the report render: one realistic, one empty, one of any number of classes."""

from __future__ import annotations

import base64
import io
import math
import random

from PIL import Image, ImageDraw

from gossamer.report.document import (
    BudgetLine,
    ClassScore,
    CompressionRow,
    Curve,
    CurvePoint,
    Figure,
    FindingRow,
    FitDocument,
    LayerRow,
    SplitRow,
    TaskPage,
    TriedRow,
    WorstPicture,
)

LABELS = ["dew", "fogsmog", "frost", "hail", "lightning", "rain & sleet", "sandstorm"]
NETWORKS = [  # name, params, MACs, latency in ms, validation accuracy
    ("mobilenet_v3_small_0.75", 1.02e6, 18e6, 2.9, 0.931),
    ("mobilenet_v3_small", 1.53e6, 29e6, 3.8, 0.936),
    ("mobilenet_v2_0.5", 0.7e6, 50e6, 4.4, 0.924),
    ("shufflenet_v2_0.5", 0.35e6, 20e6, 2.2, 0.902),
    ("ghostnet_0.5", 1.3e6, 22e6, 4.9, 0.917),
    ("mobilenet_v2_1.0", 2.2e6, 157e6, 9.8, 0.948),
    ("efficientnet_lite0", 3.4e6, 200e6, 14.2, 0.956),
    ("squeezenet_1.1", 0.73e6, 174e6, 8.7, None),
    ("mnasnet_0.5", 0.94e6, 53e6, 4.6, None),
    ("mobilenet_v1_0.25", 0.22e6, 21e6, 1.6, None),
    ("resnet18", 11.2e6, 930e6, 38.0, None),
    ("micronet_m1", 0.5e6, 3e6, 1.1, None),
]


def picture(seed: int) -> str:
    """A small JPEG, base64."""
    rng = random.Random(seed)
    image = Image.new("RGB", (120, 120), tuple(rng.randrange(60, 200) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x, y, r = rng.randrange(120), rng.randrange(120), rng.randrange(5, 30)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.randrange(256) for _ in range(3)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return base64.b64encode(buffer.getvalue()).decode()


def tried() -> list[TriedRow]:
    rows = []
    for index, (name, params, macs, latency, accuracy) in enumerate(NETWORKS):
        for precision, share, speed in (("fp32", 4, 1.0), ("int8", 1.08, 0.55)):
            status = "trained" if accuracy else ("shortlisted" if latency < 5 else "passed over")
            score = None if accuracy is None else accuracy - (0.006 if precision == "int8" else 0)
            time, note = latency * speed, ""
            if time > 5:
                status, note = "over budget", f"latency {time:.3g} ms, the limit is 5 ms"
            if index == 0 and precision == "int8":
                status = "chosen"
            rows.append(
                TriedRow(
                    name=name,
                    input="160x160",
                    precision=precision,
                    params=int(params),
                    macs=int(macs),
                    size_bytes=int(params * share),
                    latency_ms=time,
                    score=score,
                    status=status,
                    note=note,
                )
            )
    rows.append(
        TriedRow(
            name="vit_tiny_patch16",
            input="224x224",
            precision="fp32",
            params=5_700_000,
            macs=1_080_000_000,
            size_bytes=None,
            latency_ms=None,
            score=None,
            status="refused",
            note="5.7 M params cannot fit 1.2 MB at any precision",
        )
    )
    return rows


def curves(count: int = 4) -> list[Curve]:
    lines = []
    for index, (name, *_, accuracy) in enumerate(NETWORKS[:count]):
        rng, best = random.Random(index), accuracy or 0.9
        points = []
        for epoch in range(1, 25):
            share = 1 - math.exp(-epoch / (3.5 + index))
            points.append(
                CurvePoint(
                    seconds=epoch * (20 + 6 * index),
                    epoch=epoch,
                    train_loss=1.9 * (1 - share) + 0.03,
                    val_loss=1.7 * (1 - share) + 0.21 + rng.uniform(-0.02, 0.02),
                    val_score=0.14 + (best - 0.14) * share + rng.uniform(-0.012, 0.012),
                )
            )
        lines.append(Curve(name=name, chosen=index == 0, points=points))
    return lines


def layers(count: int = 50) -> list[LayerRow]:
    rows = []
    for index in range(count):
        kind = ("Conv2d 1x1", "Conv2d 3x3 depthwise", "Hardswish", "BatchNorm2d", "SqueezeExcitation")[
            index % 5
        ]
        channels, side = 16 + 8 * (index // 5), max(5, 80 >> (index // 12))
        macs = channels * side * side * (channels if index % 5 == 0 else 9 if index % 5 == 1 else 1)
        rows.append(
            LayerRow(
                name=f"features.{index // 5}.block.{index % 5}",
                kind=kind,
                macs=macs,
                output=f"{channels}x{side}x{side}",
                params=channels * (channels if index % 5 == 0 else 9),
                bytes=4 * channels * side * side * 2,
            )
        )
    return rows


def confusion(classes: int, seed: int = 3) -> list[list[int]]:
    rng = random.Random(seed)
    table = [[0] * classes for _ in range(classes)]
    for row in range(classes):
        for _ in range(60):
            table[row][row if rng.random() < 0.88 else rng.randrange(classes)] += 1
    return table


def of_classes(labels: list[str]) -> FitDocument:
    """The realistic document with these classes."""
    rng = random.Random(5)
    scores = [rng.uniform(0.8, 0.99) for _ in labels]
    return document().model_copy(
        update={
            "labels": labels,
            "task": TaskPage(
                confusion=confusion(len(labels)),
                classes=[
                    ClassScore(
                        label=label, pictures=60, precision=score, recall=score - 0.02, f1=score - 0.01
                    )
                    for label, score in zip(labels, scores, strict=True)
                ],
            ),
            "splits": [
                SplitRow(label=label, train=280 + 7 * i, val=60, test=60) for i, label in enumerate(labels)
            ],
            "worst": [
                WorstPicture(
                    file=f"{labels[i % len(labels)]}/IMG_{1000 + 37 * i}.jpg",
                    label=labels[i % len(labels)],
                    predicted=labels[(i + 1) % len(labels)],
                    score=0.99 - 0.02 * i,
                    jpeg_base64=picture(i),
                )
                for i in range(12)
            ],
        }
    )


def sample() -> FitDocument:
    """A run that met its budget."""
    return of_classes(LABELS)


def document() -> FitDocument:
    """The realistic document without what depends on the classes."""
    return FitDocument(
        title="Weather pictures for a Raspberry Pi 4",
        created="2025-06-12 14:03 UTC",
        command="gossamer fit weather --budget 'latency<=5ms, size<=1.2MB, accuracy>=92%' --device cpu:1 \\\n"
        "  --time 20m --seed 0 --out runs/weather",
        met=True,
        headline="mobilenet_v3_small_0.75 in int8 names 92.6 % of the test pictures in 1.6 ms and 1.1 MB, "
        "within every limit.",
        budget=[
            BudgetLine(metric="latency", op="<=", limit=5.0, measured=1.6, met=True),
            BudgetLine(metric="size", op="<=", limit=1.2e6, measured=1.1e6, met=True),
            BudgetLine(metric="accuracy", op=">=", limit=0.92, measured=0.926, met=True),
        ],
        figures=[
            Figure(
                label="Test accuracy", value="92.6 %", origin="measured", note="420 pictures, 89.7 to 94.8 %"
            ),
            Figure(label="Latency", value="1.6 ms", origin="flagged", note="median of 200 runs, one thread"),
            Figure(label="File size", value="1.1 MB", origin="measured"),
            Figure(label="Energy a picture", value="4.1 mJ", origin="predicted", note="from the roofline"),
            Figure(label="Multiply-accumulates", value="18 M", origin="counted"),
            Figure(
                label="ImageNet top-1", value="65.4 %", origin="published", note="of the starting weights"
            ),
        ],
        tried=tried(),
        curves=curves(),
        labels=[],
        task=TaskPage(),
        worst=[],
        compression=[
            CompressionRow(
                precision="fp32",
                size_bytes=4_080_000,
                latency_ms=2.9,
                score=0.931,
                drop=0.0,
                chosen=False,
                reason="over the size limit",
            ),
            CompressionRow(
                precision="fp16",
                size_bytes=2_050_000,
                latency_ms=3.1,
                score=0.931,
                drop=0.0,
                chosen=False,
                reason="over the size limit, and slower: this CPU has no fp16 arithmetic",
            ),
            CompressionRow(
                precision="int8",
                size_bytes=1_101_600,
                latency_ms=1.595,
                score=0.925,
                drop=0.006,
                chosen=True,
                reason="smallest that keeps the drop under one point",
            ),
        ],
        layers=layers(),
        splits=[],
        findings=[
            FindingRow(
                severity="note", code="D112", message="12 pictures are larger than 4096 pixels on a side"
            ),
            FindingRow(
                severity="warning", code="D104", message="9 pictures occur twice; the copies share one split"
            ),
            FindingRow(
                severity="error", code="D101", message="frost/IMG_0042.jpg cannot be opened; left out"
            ),
        ],
        flags=[
            "The machine was busy while latency was measured: load 2.3 on 2 cores.",
            "The test split holds 420 pictures: its accuracy is known to about 2.5 points.",
        ],
        notes=[
            "Resolution 160 was kept: 192 gained 0.4 points for 1.4 times the latency.",
            "Nothing was pruned: the network met the budget without it.",
        ],
        provenance={
            "gossamer": "0.1.0",
            "torch": "2.11.0",
            "onnxruntime": "1.22.1",
            "machine": "x86_64, 2 cores",
            "seed": "0",
            "data digest": "sha256:4d1f0c8f1f8f2b5ab6b1a2c9fb0a4f7f5e2b8d0f5c3e9d7a6b4c2e1f0d9c8b7a",
            "wall time": "18 min 42 s",
        },
    )


def empty() -> FitDocument:
    """A document with every list empty."""
    return document().model_copy(
        update={name: [] for name, value in document() if isinstance(value, list)}
        | {"provenance": {}, "met": False}
    )
