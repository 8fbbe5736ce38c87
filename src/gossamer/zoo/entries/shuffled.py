"""Networks that group, shuffle, squeeze or ghost their channels: SqueezeNet, ShuffleNets, SNet, GhostNets, ESPNetv2, StarNet."""

from __future__ import annotations

from gossamer.zoo.entry import Entry, Family, WeightSource, timm, torchvision

__all__ = ["ENTRIES"]

_squeeze = Family(
    "SqueezeNet",
    "squeezenet:squeezenet",
    "arXiv 1602.07360",
    "authors' README, GFLOPs halved",
    note="conv10 padded by 1 as in the authors' file; that is 28.6 M macs of the 861",
    input=227,
)
_shuffle_v1 = Family(
    "ShuffleNetV1",
    "shufflenet_v1:shufflenet_v1",
    "arXiv 1707.01083",
    "authors' README; macs of convolutions and classifier",
)
_V1_PAPER = "paper, tables 1 and 2; one macs figure for all groups of a width"
_V1_ROUNDED = "the paper does not say how channels round at this width; ours are multiples of 4 x groups"
_shuffle_v2 = Family(
    "ShuffleNetV2",
    "shufflenet_v2:shufflenet_v2",
    "arXiv 1807.11164",
    "authors' README; macs of convolutions and classifier",
)
_snet = Family(
    "SNet", "snet:snet", "arXiv 1903.11752", "the network's name; top-1 of the first author's README"
)
_ghost = Family("GhostNet", "ghostnet:ghostnet", "arXiv 1911.11907", "paper, table 7")
_ghost_v2 = Family(
    "GhostNetV2", "ghostnet:ghostnet_v2", "arXiv 2211.12905", "timm's evaluation of the released weights"
)
_espnet = Family(
    "ESPNetv2",
    "espnet_v2:espnet_v2",
    "arXiv 1811.11431",
    "authors' README; macs without the classifier",
    note="published macs leave the classifier out, 1.0 to 1.3 M; a branch that the authors make and never use is left out",
)
_star = Family("StarNet", "starnet:starnet", "arXiv 2403.19967", "authors' README")


_CAFFE = WeightSource("", "caffe", bgr=True)


def _v2_weights(width: float) -> dict[str, WeightSource]:
    name = f"ShuffleNet_V2_X{str(width).replace('.', '_')}_Weights.IMAGENET1K_V1"
    return {"torchvision": torchvision(name, form="torchvision")}


ENTRIES: dict[str, Entry] = {
    "squeezenet_1.0": _squeeze(
        {"version": "1.0", "caffe_padding": True},
        (1.248, 860, 57.5),
        weights={"torchvision": torchvision("SqueezeNet1_0_Weights.IMAGENET1K_V1", caffe_padding=False)},
        formats={"Deep Compression": _CAFFE},
    ),
    "squeezenet_1.1": _squeeze(
        {"version": "1.1"},
        (1.235, 360, 57.5),
        note="published from 0.72 GFLOPs, rounded; the count of the authors' file is 388 M macs at 227",
        weights={"torchvision": torchvision("SqueezeNet1_1_Weights.IMAGENET1K_V1", caffe_padding=False)},
        formats={"ncnn": _CAFFE},
    ),
    "squeezenet_1.0_simple_bypass": _squeeze(
        {"version": "1.0", "caffe_padding": True, "bypass": "simple"},
        (1.248, None, 60.4),
        source="paper, table 3",
        note="",
    ),
    "squeezenet_1.0_complex_bypass": _squeeze(
        {"version": "1.0", "caffe_padding": True, "bypass": "complex"},
        (None, None, 58.8),
        source="paper, table 3",
        note="the paper prints a size in MB only, which no count of the described network gives",
    ),
    **{
        f"shufflenet_v1_g{groups}_1.0": _shuffle_v1(
            {"groups": groups, "width": 1.0}, figures, source=_V1_PAPER
        )
        for groups, figures in (
            (1, (None, 143, 66.4)),
            (2, (None, 140, 67.3)),
            (4, (None, 133, 67.2)),
        )
    },
    "shufflenet_v1_g3_0.5": _shuffle_v1({"groups": 3, "width": 0.5}, (0.7, 38, 57.3)),
    "shufflenet_v1_g3_1.0": _shuffle_v1({"groups": 3, "width": 1.0}, (1.9, 138, 67.8)),
    "shufflenet_v1_g3_1.5": _shuffle_v1({"groups": 3, "width": 1.5}, (3.4, 292, 71.6)),
    "shufflenet_v1_g3_2.0": _shuffle_v1({"groups": 3, "width": 2.0}, (5.4, 524, 74.1)),
    "shufflenet_v1_g8_0.5": _shuffle_v1({"groups": 8, "width": 0.5}, (1.0, 40, 58.8)),
    "shufflenet_v1_g8_1.0": _shuffle_v1({"groups": 8, "width": 1.0}, (2.4, 138, 68.0)),
    "shufflenet_v1_g8_1.5": _shuffle_v1({"groups": 8, "width": 1.5}, (4.3, 290, 71.0)),
    "shufflenet_v1_g8_2.0": _shuffle_v1({"groups": 8, "width": 2.0}, (6.5, 522, 72.9)),
    **{
        f"shufflenet_v1_g{groups}_0.5": _shuffle_v1(
            {"groups": groups, "width": 0.5}, (None, 38, top1), source=_V1_PAPER, note=_V1_ROUNDED
        )
        for groups, top1 in ((1, 54.9), (2, 55.6), (4, 58.4))
    },
    **{
        f"shufflenet_v1_g{groups}_0.25": _shuffle_v1(
            {"groups": groups, "width": 0.25}, (None, 13, top1), source=_V1_PAPER, note=_V1_ROUNDED
        )
        for groups, top1 in ((1, 42.9), (2, 43.2), (3, 45.0), (4, 45.8), (8, 47.3))
    },
    "shufflenet_v2_0.25": _shuffle_v2({"width": 0.25}, note="width of ours, no published figure"),
    "shufflenet_v2_0.5": _shuffle_v2({"width": 0.5}, (1.4, 41, 61.1), weights=_v2_weights(0.5)),
    "shufflenet_v2_1.0": _shuffle_v2({"width": 1.0}, (2.3, 146, 69.4), weights=_v2_weights(1.0)),
    "shufflenet_v2_1.5": _shuffle_v2({"width": 1.5}, (3.5, 299, 72.6), weights=_v2_weights(1.5)),
    "shufflenet_v2_2.0": _shuffle_v2({"width": 2.0}, (7.4, 591, 75.0), weights=_v2_weights(2.0)),
    "snet_49": _snet(
        {"size": "49"}, (None, 49, None), note="49 is a nominal figure; the table of the paper counts 51.2 M"
    ),
    "snet_146": _snet(
        {"size": "146"},
        (None, 146, 67.8),
        note="146 is a nominal figure that no rule reproduces; the first author's network counts 161 M too",
    ),
    "snet_535": _snet({"size": "535"}, (None, 535, None)),
    "ghostnet_0.5": _ghost({"width": 0.5}, (2.6, 42, 66.2)),
    "ghostnet_1.0": _ghost({"width": 1.0}, (5.2, 141, 73.9), weights={"timm": timm("ghostnet_100")}),
    "ghostnet_1.3": _ghost({"width": 1.3}, (7.3, 226, 75.7)),
    "ghostnet_v2_1.0": _ghost_v2(
        {"width": 1.0}, (6.16, None, 75.186), weights={"timm": timm("ghostnetv2_100")}
    ),
    "ghostnet_v2_1.3": _ghost_v2(
        {"width": 1.3}, (8.96, None, 76.746), weights={"timm": timm("ghostnetv2_130")}
    ),
    "ghostnet_v2_1.6": _ghost_v2(
        {"width": 1.6}, (12.39, None, 77.836), weights={"timm": timm("ghostnetv2_160")}
    ),
    "espnet_v2_0.5": _espnet({"width": 0.5}, (1.24, 28.38, 57.68)),
    "espnet_v2_1.0": _espnet({"width": 1.0}, (1.67, 85.72, 66.09)),
    "espnet_v2_1.25": _espnet({"width": 1.25}, (1.96, 123.4, 67.95)),
    "espnet_v2_1.5": _espnet({"width": 1.5}, (2.31, 168.6, 69.17)),
    "espnet_v2_2.0": _espnet({"width": 2.0}, (3.49, 284.81, 72.06)),
    "starnet_s1": _star({"size": "s1"}, (2.9, 425, 73.6), weights={"timm": timm("starnet_s1")}),
    "starnet_s2": _star({"size": "s2"}, (3.7, 547, 74.7), weights={"timm": timm("starnet_s2")}),
    "starnet_s3": _star({"size": "s3"}, (5.8, 757, 77.4), weights={"timm": timm("starnet_s3")}),
    "starnet_s4": _star({"size": "s4"}, (7.5, 1075, 78.8), weights={"timm": timm("starnet_s4")}),
}
