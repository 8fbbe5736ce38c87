"""Params and macs of every detector beside those of other counts of the same network, and the table that ships."""

from __future__ import annotations

import pytest
import torch
from tools.count_zoo import count_entry

from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE, of_task
from gossamer.zoo.counted import counted, counts

DETECTORS = of_task("detect")
LIMIT = 0.03

# millions of params and of macs at the entry's input, counted with torch's own counter on the public implementations
# (80 classes; 90 for SSDLite), where there are any; None where that count was not made
ELSEWHERE = {
    "yolox_nano": (0.912, 523),
    "yolox_tiny": (5.056, 3206),
    "nanodet_m_320": (0.959, 342),
    "nanodet_plus_m_320": (1.198, 451),
    "nanodet_plus_m_416": (1.198, 762),
    "nanodet_plus_m_1.5x_416": (2.478, 1486),
    "fastestdet": (0.244, 121),
    "yolo_fastest_1.0": (0.343, 128),
    "yolo_fastest_1.1": (0.333, 125),
    "yolo_fastest_1.1_xl": (0.899, 362),
    "yolo_nano": (3.023, 2113),
    "v5_style_n": (1.867, 2234),
    "picodet_s_320": (0.993, 351),
    "efficientdet_d0": (3.878, 2492),
    "efficientdet_lite0": (3.243, 974),
    "ssdlite_mobilenet_v3_large": (3.440, 583),
}


@pytest.mark.parametrize(
    ("name", "params", "macs"), [(name, *figures) for name, figures in ELSEWHERE.items()]
)
def test_the_count_is_that_of_the_public_implementation(name, params, macs):
    count = counted(name, CATALOGUE[name].input)
    assert count.params / 1e6 == pytest.approx(params, rel=LIMIT)
    assert count.macs / 1e6 == pytest.approx(macs, rel=LIMIT)


@pytest.mark.parametrize("name", DETECTORS)
def test_what_differs_from_the_published_figures_has_a_reason(name):
    entry, count = DETECTORS[name], counted(name, DETECTORS[name].input)
    published = entry.published
    pairs = [] if published is None else [(count.params, published.params), (count.macs, published.macs)]
    worst = max((abs(ours / theirs - 1) for ours, theirs in pairs if theirs), default=0.0)
    assert worst <= LIMIT or entry.note, f"{100 * worst:.1f} % and no note"
    assert worst <= 0.2


FRESH = [
    pytest.param(name, marks=() if name in ("fastestdet", "yolox_nano") else pytest.mark.slow)
    for name in DETECTORS
]


@pytest.mark.parametrize("name", FRESH)
def test_every_line_of_the_table_is_fresh(name):
    """`python -m tools.count_zoo` writes the table anew."""
    lines = {size: count for (other, size), count in counts().items() if other == name}
    assert dict(count_entry(name)) == lines
    assert DETECTORS[name].input in lines


@pytest.mark.parametrize("name", ["nanodet_plus_m_320", "yolo_fastest_1.1", "ssdlite_mobilenet_v2"])
def test_other_numbers_of_classes_need_no_counting(name):
    with torch.device("meta"):
        network = build(name, num_classes=7)
    added = 7 - CATALOGUE[name].num_classes
    params = sum(p.numel() for p in network.parameters())
    assert params == counted(name, 320).with_classes(added).params


def test_the_branch_that_only_training_has_is_not_counted():
    from gossamer.cost.meter import measure

    with torch.device("meta"):
        network = build("nanodet_plus_m_320", guidance=True).eval()
    cost = measure(network, (1, 3, 320, 320))
    assert (cost.params, cost.macs) == counted("nanodet_plus_m_320", 320)[:2]
    assert sum(p.numel() for p in network.parameters()) > cost.params
