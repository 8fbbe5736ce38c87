"""Boxes that move with their pictures, and pictures made of four (torch). Mosaic: Bochkovskiy et al., 2004.10934, section 3.3."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gossamer.data.draws import Draws

__all__ = ["mosaic", "moved"]

_LEAST_PART = 0.25
_LEAST_SIDE = 2.0
"""Pixels: what is left of a box below them is not there."""


def moved(targets: Tensor, places: Tensor, before: tuple[int, int], after: tuple[int, int]) -> Tensor:
    """Rows (B, M, 7) of pictures of size `before` as they lie in those that `augment` made of them, of size `after`.

    `places` (B, 3, 3) bring places of the new picture, from -1 to 1, to places of the old one. A turned box becomes the
    upright one around it; one of which a quarter or less stays in view is gone.
    """
    boxes = targets[..., 1:5]
    old = boxes.new_tensor([before[1], before[0]])
    new = boxes.new_tensor([after[1], after[0]])
    left, top, right, bottom = boxes.unbind(2)
    corners = torch.stack([left, top, right, top, right, bottom, left, bottom], 2).unflatten(2, (4, 2))
    spots = corners / old * 2 - 1
    back = torch.linalg.inv(places.float())
    turned = spots @ back[:, None, :2, :2].transpose(2, 3) + back[:, None, None, :2, 2]
    pixels = (turned + 1) / 2 * new
    whole = torch.cat([pixels.amin(2), pixels.amax(2)], 2)
    return _cut(targets, whole, new)


def _cut(targets: Tensor, whole: Tensor, size_xy: Tensor) -> Tensor:
    """The targets with these boxes, cut at the border; what is mostly gone is no box any more."""
    limit = torch.cat([size_xy, size_xy])
    cut = torch.minimum(whole.clamp_min(0), limit)
    sides, full = cut[..., 2:] - cut[..., :2], (whole[..., 2:] - whole[..., :2]).clamp_min(1e-6)
    part = sides.clamp_min(0).prod(2) / full.prod(2)
    there = (targets[..., 0] >= 0) & (part > _LEAST_PART) & (sides > _LEAST_SIDE).all(2)
    label = torch.where(there, targets[..., 0], -1.0)
    return torch.cat([label[..., None], torch.where(there[..., None], cut, 0.0), targets[..., 5:]], 2)


def mosaic(
    pictures: Tensor, targets: Tensor, share: float, fill: Tensor, draws: Draws
) -> tuple[Tensor, Tensor]:
    """A `share` of the pictures (B, bands, H, W) each made of four at half their size about a spot near the middle.

    The other three are neighbours in the batch. Beyond their borders is `fill` (1, bands, 1, 1).
    """
    batch, _, height, width = pictures.shape
    if share <= 0 or batch < 2:
        return pictures, targets
    chosen = draws.uniform(0, 1, pictures) < share
    centre_x = (draws.uniform(0.35, 0.65, pictures) * width).round()
    centre_y = (draws.uniform(0.35, 0.65, pictures) * height).round()
    scale = draws.uniform(0.5, 0.8, pictures)
    made, rows = pictures.clone(), []
    for place in range(batch):
        if not chosen[place]:
            rows.append(targets[place])
            continue
        x, y = int(centre_x[place]), int(centre_y[place])
        canvas = fill[0].expand(-1, height, width).clone()
        parts = []
        for corner in range(4):
            other = (place + corner) % batch
            part, boxes = _quarter(
                pictures[other], targets[other], float(scale[place]), corner, (x, y), canvas
            )
            canvas = part
            parts.append(boxes)
        made[place] = canvas
        rows.append(torch.cat(parts))
    return made, _padded(rows)


def _quarter(
    picture: Tensor, target: Tensor, scale: float, corner: int, centre: tuple[int, int], canvas: Tensor
) -> tuple[Tensor, Tensor]:
    """One picture, made smaller, with a corner at the centre of the canvas: (canvas, its rows)."""
    height, width = canvas.shape[1:]
    side = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = F.interpolate(picture[None], side, mode="bilinear", align_corners=False)[0]
    x = centre[0] - (side[1] if corner in (0, 2) else 0)
    y = centre[1] - (side[0] if corner in (0, 1) else 0)
    left, top = max(0, x), max(0, y)
    right = min(centre[0] if corner in (0, 2) else width, x + side[1])
    bottom = min(centre[1] if corner in (0, 1) else height, y + side[0])
    if right > left and bottom > top:
        canvas[:, top:bottom, left:right] = small[:, top - y : bottom - y, left - x : right - x]
    step = target.new_tensor([side[1] / width, side[0] / height] * 2)
    whole = target[:, 1:5] * step + target.new_tensor([x, y] * 2)
    low = target.new_tensor([left, top] * 2)
    inner = _cut(
        target[None], (whole - low)[None], target.new_tensor([max(0, right - left), max(0, bottom - top)])
    )[0]
    boxes = torch.where(inner[:, :1] >= 0, inner[:, 1:5] + low, 0.0)
    return canvas, torch.cat([inner[:, :1], boxes, inner[:, 5:]], 1)


def _padded(rows: list[Tensor]) -> Tensor:
    """Rows of different number as one array, those that are no box last."""
    full = [row[row[:, 0] >= 0] for row in rows]
    most = max(1, max(len(row) for row in full))
    array = rows[0].new_zeros(len(rows), most, rows[0].shape[1])
    array[..., 0] = -1
    for place, row in enumerate(full):
        array[place, : len(row)] = row
    return array
