"""SSDLite with torchvision's weights, layer by layer, gives torchvision's boxes and scores."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from gossamer.zoo.build import build
from gossamer.zoo.mapping import load_in_order


def test_the_same_weights_give_the_same_answers():
    theirs = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91).eval()
    generator = torch.Generator().manual_seed(0)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    ours = build("ssdlite_mobilenet_v3_large").eval()
    load_in_order(ours, theirs.state_dict(), "torchvision")
    picture = torch.rand(1, 3, 320, 320, generator=generator)
    with torch.no_grad():
        maps = list(theirs.backbone(picture).values())
        heads = theirs.head(maps)
        anchors = theirs.anchor_generator(_Batch(picture), maps)[0]
        boxes = theirs.box_coder.decode_single(heads["bbox_regression"][0], anchors)
        scores = heads["cls_logits"][0].softmax(1)
        found = ours(picture)[0]
    assert found.shape == (len(boxes), 4 + 90)
    assert torch.allclose(found[:, :4], boxes, atol=1e-2)
    # theirs has no class first, ours last: the same logits under other names
    own = ours.head(ours.neck(ours.backbone.features(picture)))
    logits = ours._rows(own, 6).scores[0].softmax(1)
    assert torch.allclose(logits, scores, atol=1e-5)


class _Batch:
    """A batch of pictures as torchvision's anchors ask for it."""

    def __init__(self, tensors):
        self.tensors = tensors
        self.image_sizes = [tuple(tensors.shape[2:])]
