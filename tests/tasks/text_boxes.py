"""From a text detector's probability map to boxes, and from boxes to a score. Numpy only.

The steps and constants are those of PaddleOCR's post-processing of a DB network (Liao et al., "Real-time Scene Text Detection with
Differentiable Binarization", AAAI 2020). Such a network marks each line shrunk, so that neighbours stay apart: what is above the
threshold is one component a line, whose smallest rectangle is grown again. Lines are within 6 degrees of the horizontal.

A box is four corners in order, float64 4 x 2, (x, y) in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Box = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

THRESHOLD = 0.3
MIN_PROBABILITY = 0.6  # the mean over a component
UNCLIP_RATIO = 1.5
MIN_SIDE_PX = 3
MIN_IOU = 0.5
ANGLES = np.deg2rad(np.arange(-6, 6.5, 0.5))


@dataclass(frozen=True)
class Runs:
    """A mask as horizontal runs, ``start`` to ``stop`` (exclusive) of ``row``; runs that touch share a ``component``."""

    row: Integers
    start: Integers
    stop: Integers
    component: Integers


def find_boxes(probabilities: npt.NDArray[np.float32]) -> list[Box]:
    """The text boxes in a map (height x width, in [0, 1])."""
    runs = find_runs(probabilities > THRESHOLD)
    sums = np.pad(np.cumsum(probabilities, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    mass = sums[runs.row, runs.stop] - sums[runs.row, runs.start]
    boxes = []
    for component in np.unique(runs.component):
        of_it = runs.component == component
        row, start, stop = runs.row[of_it], runs.start[of_it], runs.stop[of_it]
        if mass[of_it].sum() / (stop - start).sum() < MIN_PROBABILITY:
            continue
        corners = np.concatenate([np.stack([x, y], axis=1) for x in (start, stop) for y in (row, row + 1)]).astype(np.float64)
        box = grown_rectangle(corners)
        if box is not None:
            boxes.append(box)
    return boxes


def find_runs(mask: npt.NDArray[np.bool_]) -> Runs:
    """The runs of a mask and the components they form; diagonal neighbours touch."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, start = np.nonzero(edges == 1)
    _, stop = np.nonzero(edges == -1)
    # Runs are in reading order, so those of the next row that touch a run are neighbours in it: first to last.
    stride = mask.shape[1] + 2
    first = np.searchsorted(row * stride + stop, (row + 1) * stride + start, side="left")
    last = np.searchsorted(row * stride + start, (row + 1) * stride + stop, side="right")
    parent = list(range(len(row)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for upper in range(len(row)):
        for lower in range(first[upper], last[upper]):
            parent[root(lower)] = root(upper)
    return Runs(row, start, stop, np.array([root(index) for index in range(len(row))], np.int64))


def grown_rectangle(points: npt.NDArray[np.float64]) -> Box | None:
    """The smallest rectangle around points (n x 2), grown by what the network was taught to shrink; None if it is too thin."""
    along = points[:, :1] * np.cos(ANGLES) + points[:, 1:] * np.sin(ANGLES)  # points x angles
    across = points[:, 1:] * np.cos(ANGLES) - points[:, :1] * np.sin(ANGLES)
    width, height = np.ptp(along, axis=0), np.ptp(across, axis=0)
    best = int(np.argmin(width * height))
    if min(width[best], height[best]) < MIN_SIDE_PX:
        return None
    grow = UNCLIP_RATIO * width[best] * height[best] / (2 * (width[best] + height[best]))
    left, right = along[:, best].min() - grow, along[:, best].max() + grow
    top, bottom = across[:, best].min() - grow, across[:, best].max() + grow
    cosine, sine = np.cos(ANGLES[best]), np.sin(ANGLES[best])
    box: Box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) @ np.array([[cosine, sine], [-sine, cosine]])
    return box


# ---------------------------------------------------------------- the score
def hmean(found: Sequence[Box], truth: Sequence[Box]) -> float:
    """Harmonic mean of precision and recall on one page; a box is right if its IoU with a line not yet found is at least 0.5."""
    left = list(found)
    hits = 0
    for line in truth:
        overlaps = [iou(line, box) for box in left]
        if overlaps and max(overlaps) >= MIN_IOU:
            left.pop(int(np.argmax(overlaps)))
            hits += 1
    return 2 * hits / (len(found) + len(truth)) if found or truth else 1.0


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two convex polygons whose corners go round alike."""
    if np.any(a.max(axis=0) <= b.min(axis=0)) or np.any(b.max(axis=0) <= a.min(axis=0)):
        return 0.0
    shared = area(clip(a.tolist(), b.tolist()))
    return shared / (area(a.tolist()) + area(b.tolist()) - shared)


def clip(polygon: list[list[float]], window: list[list[float]]) -> list[list[float]]:
    """The part of a convex polygon inside a convex window (Sutherland and Hodgman)."""
    for (x1, y1), (x2, y2) in zip(window, window[1:] + window[:1], strict=True):
        # Positive inside, for corners that go round clockwise as a reader sees them (y points down).
        sides = [(x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) for x, y in polygon]
        kept: list[list[float]] = []
        for index, (point, side) in enumerate(zip(polygon, sides, strict=True)):
            before, side_before = polygon[index - 1], sides[index - 1]
            if (side >= 0) != (side_before >= 0):
                share = side_before / (side_before - side)
                kept.append([p + share * (q - p) for p, q in zip(before, point, strict=True)])
            if side >= 0:
                kept.append(point)
        polygon = kept
    return polygon


def area(polygon: list[list[float]]) -> float:
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(polygon, polygon[1:] + polygon[:1], strict=True))) / 2
