"""MobileNet v1 to v4, MobileNeXt, MobileOne, PP-LCNet: designed by hand around depthwise convolutions."""

from __future__ import annotations

from gossamer.zoo.entry import Entry, Family, WeightSource, timm, torchvision

__all__ = ["ENTRIES"]

_OURS = "width of ours, no published figure"

_v1 = Family(
    "MobileNetV1",
    "mobilenet_v1:mobilenet_v1",
    "arXiv 1704.04861",
    "TF-slim README (2018_02_22); params with 1,001 classes",
)
_v2 = Family(
    "MobileNetV2",
    "mobilenet_v2:mobilenet_v2",
    "arXiv 1801.04381",
    "TF-slim mobilenet README; params without BN scale and shift",
    note="published params leave out BN scale and shift",
)
_v3_large = Family("MobileNetV3", "mobilenet_v3:mobilenet_v3_large", "arXiv 1905.02244", "paper, table 3")
_v3_small = Family("MobileNetV3", "mobilenet_v3:mobilenet_v3_small", "arXiv 1905.02244", "paper, table 3")
_v4 = Family(
    "MobileNetV4",
    "mobilenet_v4:mobilenet_v4_conv",
    "arXiv 2404.10518",
    "paper, table 6; macs in G with one decimal",
    note="published macs have one decimal of a G; ours equal timm's to the last one",
)
_next = Family(
    "MobileNeXt",
    "mobilenext:mobilenext",
    "arXiv 2007.02269",
    "authors' README",
    note="the authors' own code counts what we count; their README does not",
)
_one = Family("MobileOne", "mobileone:mobileone", "arXiv 2206.04040", "mmpretrain README, deploy form")
_lcnet = Family(
    "PP-LCNet",
    "lcnet:lcnet",
    "arXiv 2109.15099",
    "PaddleClas README; macs with norms, activations and pooling",
    note="published macs count norms, activations and pooling too",
)

_KERAS = WeightSource("", "inception", {"relu6": True, "same": True, "norm_eps": 1e-3})
_TF = {"same": True}
_TIMM = {"norm_eps": 1e-5}

ENTRIES: dict[str, Entry] = {
    "mobilenet_v1": _v1(
        {"width": 1.0},
        (4.24, 569, 70.9),
        grid={192: (418, 70.0), 160: (291, 68.0), 128: (186, 65.2)},
        weights={"timm": timm("mobilenetv1_100", "inception", relu6=True)},
    ),
    "mobilenet_v1_0.75": _v1(
        {"width": 0.75},
        (2.59, 317, 68.4),
        note="the README's 317 M macs are below the paper's 325 M, which we count",
        formats={"TF.js": _KERAS, "Keras": _KERAS},
        grid={192: (233, 67.2), 160: (162, 65.3), 128: (104, 62.1)},
    ),
    "mobilenet_v1_0.5": _v1(
        {"width": 0.5}, (1.34, 150, 63.3), grid={192: (110, 61.7), 160: (77, 59.1), 128: (49, 56.3)}
    ),
    "mobilenet_v1_0.25": _v1(
        {"width": 0.25},
        (0.47, 41, 49.8),
        note="the README's 34 M macs at 192 pixels are a misprint (30.2); 14 M at 128 are 13.6 rounded",
        grid={192: (34, 47.7), 160: (21, 45.5), 128: (14, 41.5)},
    ),
    "mobilenet_v2": _v2(
        {"width": 1.0},
        (3.47, 300, 71.8),
        grid={192: (221, 70.7), 160: (154, 68.8), 128: (99, 65.3), 96: (56, 60.3)},
        weights={
            "torchvision": torchvision("MobileNet_V2_Weights.IMAGENET1K_V2"),
            "timm": timm("mobilenetv2_100"),
        },
    ),
    "mobilenet_v2_0.25": _v2({"width": 0.25}, note=_OURS),
    "mobilenet_v2_0.35": _v2(
        {"width": 0.35},
        (1.66, 59, 60.3),
        note="published params leave out BN scale and shift; 11 M macs at 96 pixels are 11.9 cut off",
        grid={192: (43, 58.2), 160: (30, 55.7), 128: (20, 50.8), 96: (11, 45.5)},
    ),
    "mobilenet_v2_0.5": _v2(
        {"width": 0.5},
        (1.95, 97, 65.4),
        note="published params leave out BN scale and shift; 18 M macs at 96 pixels are 18.9 cut off",
        grid={192: (71, 63.9), 160: (50, 61.0), 128: (32, 57.7), 96: (18, 51.2)},
        weights={"timm": timm("mobilenetv2_050")},
    ),
    "mobilenet_v2_0.75": _v2(
        {"width": 0.75},
        (2.61, 209, 69.8),
        grid={192: (153, 68.7), 160: (107, 66.4), 128: (69, 63.2), 96: (39, 58.8)},
    ),
    "mobilenet_v2_1.3": _v2({"width": 1.3}, (5.34, 509, 74.4)),
    "mobilenet_v2_1.4": _v2(
        {"width": 1.4},
        (6.06, 582, 75.0),
        note="published params leave out BN scale and shift; the paper's 6.9 M params no count reproduces",
        weights={"timm": timm("mobilenetv2_140")},
    ),
    "mobilenet_v3_large": _v3_large(
        {"width": 1.0},
        (5.4, 219, 75.2),
        weights={
            "torchvision": torchvision("MobileNet_V3_Large_Weights.IMAGENET1K_V2"),
            "timm": timm("mobilenetv3_large_100", **_TIMM),
        },
    ),
    "mobilenet_v3_large_0.75": _v3_large(
        {"width": 0.75},
        (4.0, 155, 73.3),
        weights={"timm": timm("tf_mobilenetv3_large_075", "inception", **_TF)},
    ),
    "mobilenet_v3_large_minimalistic": _v3_large(
        {"minimalistic": True},
        (3.9, 209, 72.3),
        source="TF-slim mobilenet README",
        weights={"timm": timm("tf_mobilenetv3_large_minimal_100", "inception", **_TF)},
    ),
    "mobilenet_v3_small": _v3_small(
        {"width": 1.0},
        (2.5, 56, 67.4),
        weights={
            "torchvision": torchvision("MobileNet_V3_Small_Weights.IMAGENET1K_V1"),
            "timm": timm("mobilenetv3_small_100", **_TIMM),
        },
    ),
    "mobilenet_v3_small_0.75": _v3_small(
        {"width": 0.75}, (2.0, 44, 65.4), weights={"timm": timm("mobilenetv3_small_075", **_TIMM)}
    ),
    "mobilenet_v3_small_0.5": _v3_small({"width": 0.5}, note=_OURS),
    "mobilenet_v3_small_minimalistic": _v3_small(
        {"minimalistic": True},
        (2.0, 65, 61.9),
        source="TF-slim mobilenet README",
        note="the README's 65 M macs are of an earlier table; the authors' code and timm's count 52.3 M",
        weights={"timm": timm("tf_mobilenetv3_small_minimal_100", "inception", **_TF)},
    ),
    "mobilenet_v4_conv_small": _v4(
        {"size": "small"}, (3.8, 200, 73.8), weights={"timm": timm("mobilenetv4_conv_small")}
    ),
    "mobilenet_v4_conv_medium": _v4(
        {"size": "medium"},
        (9.2, 1000, 79.9),
        input=256,
        note="the paper's 9.2 M params and 1.0 G macs are less than its table 12 and timm's network give",
        weights={"timm": timm("mobilenetv4_conv_medium")},
    ),
    "mobilenet_v4_conv_large": _v4(
        {"size": "large"},
        (31, 5900, 82.9),
        input=384,
        note="the paper's 31 M params and 5.9 G macs are less than its table 13 and timm's network give",
        weights={"timm": timm("mobilenetv4_conv_large")},
    ),
    "mobilenext": _next({"width": 1.0}, (3.5, 300, 74.02)),
    "mobilenext_0.35": _next({"width": 0.35}, (1.8, 80, 64.7)),
    "mobilenext_0.5": _next({"width": 0.5}, (2.1, 110, 67.7)),
    "mobilenext_0.75": _next({"width": 0.75}, (2.5, 210, 72.0)),
    "mobilenext_1.4": _next({"width": 1.4}, (6.1, 590, 76.1)),
    **{
        f"mobileone_{size}": _one(
            {"size": size},
            (None, None, top1),
            source="authors' README",
            weights={"timm": timm(f"mobileone_{size}")},
        )
        for size, top1 in (("s0", 71.4), ("s1", 75.9), ("s2", 77.4), ("s3", 78.1), ("s4", 79.4))
    },
    **{
        f"mobileone_{size}_deploy": _one({"size": size, "deploy": True}, figures)
        for size, figures in (
            ("s0", (2.08, 270, 71.34)),
            ("s1", (4.76, 820, 75.72)),
            ("s2", (7.81, 1300, 77.37)),
            ("s3", (10.08, 1890, 78.06)),
            ("s4", (14.84, 2980, 79.69)),
        )
    },
    "lcnet_0.25": _lcnet({"width": 0.25}, (1.52, 18.25, 51.86)),
    "lcnet_0.35": _lcnet({"width": 0.35}, (1.65, 29.46, 58.09)),
    "lcnet_0.5": _lcnet(
        {"width": 0.5}, (1.89, 47.28, 63.14), weights={"timm": timm("lcnet_050", head_bias=True)}
    ),
    "lcnet_0.75": _lcnet(
        {"width": 0.75}, (2.37, 98.82, 68.18), weights={"timm": timm("lcnet_075", head_bias=True)}
    ),
    "lcnet_1.0": _lcnet(
        {"width": 1.0}, (2.96, 160.81, 71.32), weights={"timm": timm("lcnet_100", head_bias=True)}
    ),
    "lcnet_1.5": _lcnet({"width": 1.5}, (4.52, 341.86, 73.71)),
    "lcnet_2.0": _lcnet({"width": 2.0}, (6.54, 590, 75.18)),
    "lcnet_2.5": _lcnet({"width": 2.5}, (9.04, 906, 76.6)),
}
