"""What is done with boxes beside saying them: `gossamer.tasks.places` for detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gossamer.geo.merge import TiledBoxes, cut_by, merged
from gossamer.geo.regions import Region, contains, meets
from gossamer.tasks.detect.answer import answer_of, boxes_of, labels_of, xyxy_of
from gossamer.tasks.detect.draw import drawn
from gossamer.tasks.detect.track import BoxFollower
from gossamer.tasks.places import Follower, Part, Places, ToMap
from gossamer.tasks.task import Answer
from gossamer.types import Size

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["BoxPlaces"]


class BoxPlaces(Places):
    """Boxes."""

    nouns = "boxes"
    columns = ("xmin", "ymin", "xmax", "ymax", "label", "score")

    def rows(self, answer: Answer) -> list[dict[str, str]]:
        rows = []
        for each in boxes_of(answer):
            row = dict(
                zip(self.columns, (*map(str, each["box"]), each["label"], str(each["score"])), strict=True)
            )
            if "id" in each:
                row["id"] = str(each["id"])
            if "regions" in each:
                row["regions"] = "; ".join(each["regions"])
            rows.append(row)
        return rows

    def drawn(
        self, image: Image.Image, answer: Answer, labels: Sequence[str], *, enlarge: bool = True
    ) -> Image.Image:
        return drawn(image, boxes_of(answer), labels, enlarge=enlarge)

    def coco(self, answer: Answer, labels: Sequence[str]) -> list[dict[str, Any]]:
        annotations = []
        for row in boxes_of(answer):
            left, top, right, bottom = row["box"]
            width, height = round(right - left, 2), round(bottom - top, 2)
            annotations.append(
                {
                    "category_id": labels.index(row["label"]) + 1,
                    "bbox": [left, top, width, height],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                    "score": row["score"],
                }
            )
        return annotations

    def features(self, answer: Answer, to_map: ToMap) -> list[dict[str, Any]]:
        rows = boxes_of(answer)
        left, top, right, bottom = xyxy_of(rows).T
        corners = np.stack([left, bottom, right, bottom, right, top, left, top], 1).reshape(-1, 2)
        rings = to_map(corners).reshape(-1, 4, 2) if rows else np.zeros((0, 4, 2))
        features = []
        for row, ring in zip(rows, rings, strict=True):
            properties = {key: value for key, value in row.items() if key != "box"}
            features.append(
                {
                    "type": "Feature",
                    "properties": properties,
                    "geometry": {"type": "Polygon", "coordinates": [_closed(ring.tolist())]},
                }
            )
        return features

    def joined(self, parts: Sequence[Part], picture: Size, labels: Sequence[str]) -> Answer:
        rows: list[dict[str, Any]] = []
        tiles: list[int] = []
        cut: list[bool] = []
        for number, (window, answer) in enumerate(parts):
            said = boxes_of(answer)
            if not said:
                continue
            boxes = xyxy_of(said) + np.array([window.left, window.top] * 2)
            edges = (window.left, window.top, window.right, window.bottom)
            cut += cut_by(boxes, edges, (picture.width, picture.height)).tolist()
            tiles += [number] * len(said)
            rows += [
                {**row, "box": [round(side, 2) for side in box]}
                for row, box in zip(said, boxes.tolist(), strict=True)
            ]
        places = merged(
            TiledBoxes(
                xyxy_of(rows),
                np.array([row["score"] for row in rows], np.float64),
                np.array([labels.index(row["label"]) for row in rows], np.int64),
                np.array(tiles, np.int64),
                np.array(cut, np.bool_),
            )
        )
        return answer_of([rows[place] for place in places], labels)

    def inside(self, answer: Answer, regions: Sequence[Region], *, crossing: bool) -> Answer:
        rows = boxes_of(answer)
        boxes = xyxy_of(rows)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        there = [meets(each, boxes) if crossing else contains(each, middles) for each in regions]
        kept = []
        for place, row in enumerate(rows):
            names = [region.name for region, inside in zip(regions, there, strict=True) if inside[place]]
            if names:
                kept.append({**row, "regions": names})
        return answer_of(kept, labels_of(answer), regions=[region.name for region in regions])

    def follower(self, labels: Sequence[str], threshold: float | None) -> Follower:
        return BoxFollower(labels, 0.5 if threshold is None else threshold)


def _closed(ring: list[list[float]]) -> list[list[float]]:
    """A ring that ends where it began, counter-clockwise as RFC 7946 asks."""
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
    ring = ring if area >= 0 else ring[::-1]
    return [*ring, ring[0]]
