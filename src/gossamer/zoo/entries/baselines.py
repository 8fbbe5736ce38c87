"""What lightweight networks are held against: AlexNet to Xception, and the CIFAR ResNets of compression papers."""

from __future__ import annotations

from gossamer.zoo.entry import Entry, Family, WeightSource, timm, torchvision

__all__ = ["ENTRIES"]

_alexnet = Family(
    "AlexNet",
    "alexnet:alexnet",
    "NeurIPS 2012",
    "paper (params), convnet-burden (macs, top-1)",
    input=227,
    baseline=True,
)
_vgg = Family("VGG", "vgg:vgg", "arXiv 1409.1556", "torchvision", baseline=True)
_googlenet = Family(
    "GoogLeNet",
    "googlenet:googlenet",
    "arXiv 1409.4842",
    "paper, section 1 (macs); Caffe README (top-1)",
    baseline=True,
)
_resnet = Family(
    "ResNet",
    "resnet:resnet",
    "arXiv 1512.03385",
    "paper, table 1 (macs); authors' README (top-1)",
    baseline=True,
)
_densenet = Family("DenseNet", "densenet:densenet", "arXiv 1608.06993", "torchvision", baseline=True)
_xception = Family(
    "Xception", "xception:xception", "arXiv 1610.02357", "paper, tables 1 and 3", input=299, baseline=True
)
_cifar = Family(
    "ResNet-CIFAR",
    "resnet_cifar:resnet_cifar",
    "arXiv 1512.03385",
    "paper, table 6; CIFAR-10",
    input=32,
    num_classes=10,
    baseline=True,
)

_EVEN = {"form": "torchvision"}
_CIFAR_FILE = {"torch": WeightSource("", "imagenet")}

ENTRIES: dict[str, Entry] = {
    "alexnet": _alexnet(
        {},
        (60, 727, 58.2),
        weights={"torchvision": torchvision("AlexNet_Weights.IMAGENET1K_V1", form="one_tower")},
    ),
    "vgg16": _vgg(
        {"depth": 16},
        (138.358, 15470, 71.592),
        weights={"torchvision": torchvision("VGG16_Weights.IMAGENET1K_V1"), "timm": timm("vgg16")},
    ),
    "vgg19": _vgg(
        {"depth": 19},
        (143.667, 19632, 72.376),
        weights={"torchvision": torchvision("VGG19_Weights.IMAGENET1K_V1"), "timm": timm("vgg19")},
    ),
    "googlenet": _googlenet(
        {},
        (None, 1500, 68.7),
        note="the paper says 1.5 billion; its table 1 lists conv1 with 34 M macs, which are 118 M",
        weights={"torchvision": WeightSource("GoogLeNet_Weights.IMAGENET1K_V1", "inception", _EVEN)},
    ),
    "resnet18": _resnet(
        {"depth": 18},
        (None, 1800, 69.758),
        source="paper, table 1 (macs); torchvision (top-1)",
        weights={"torchvision": torchvision("ResNet18_Weights.IMAGENET1K_V1"), "timm": timm("resnet18")},
    ),
    "resnet50": _resnet(
        {"depth": 50},
        (None, 3800, 75.3),
        weights={
            "torchvision": torchvision("ResNet50_Weights.IMAGENET1K_V2", **_EVEN),
            "timm": timm("resnet50", **_EVEN),
        },
    ),
    "resnet152": _resnet(
        {"depth": 152},
        (None, 11300, 77.0),
        weights={
            "torchvision": torchvision("ResNet152_Weights.IMAGENET1K_V2", **_EVEN),
            "timm": timm("resnet152", **_EVEN),
        },
    ),
    "densenet121": _densenet(
        {"depth": 121},
        (7.979, 2834, 74.434),
        weights={
            "torchvision": torchvision("DenseNet121_Weights.IMAGENET1K_V1"),
            "timm": timm("densenet121"),
        },
    ),
    "xception": _xception({}, (22.856, None, 79.0), weights={"timm": timm("legacy_xception", "inception")}),
    "resnet20_cifar": _cifar({"depth": 20, "num_classes": 10}, (0.27, None, 91.25), formats=_CIFAR_FILE),
    "resnet32_cifar": _cifar({"depth": 32, "num_classes": 10}, (0.46, None, 92.49), formats=_CIFAR_FILE),
    "resnet44_cifar": _cifar({"depth": 44, "num_classes": 10}, (0.66, None, 92.83), formats=_CIFAR_FILE),
    "resnet56_cifar": _cifar({"depth": 56, "num_classes": 10}, (0.85, None, 93.03), formats=_CIFAR_FILE),
}
