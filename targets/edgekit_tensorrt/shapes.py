"""Sizes of free axes: what an engine's optimization profile spans, and plain names for what goes in and out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from edgekit.synthetic import FREE_SIZE
from edgekit.types import JSON, BuildData, TensorSpec

if TYPE_CHECKING:
    import onnx

    from edgekit.types import Feed

#: Without data: the batches an engine takes beside 1, and how far other free axes go beyond what synthetic input has.
MOST_BATCH, MOST_FREE = 8, 512
_LOOKED_AT = 512  # of the fit feeds; of those held out all, which the engine must take
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def profile(inputs: Sequence[TensorSpec], data: BuildData | None) -> dict[str, JSON] | None:
    """{input: {"min", "opt", "max"}} for models with free axes, None for others; inputs without one are in it, too.

    With data the sizes are those seen (the commonest is optimized for), a free first axis from 1 on; without, a free first axis
    goes from 1 to 8, others from 1 to 512 with the size of synthetic input as the optimum.
    """
    if not any(isinstance(size, str) for spec in inputs for size in spec.shape):
        return None
    seen = _seen(inputs, chain(islice(data.fit, _LOOKED_AT), data.held_out)) if data is not None else {}
    return {spec.name: _span(spec, seen.get(spec.name)) for spec in inputs}


def _seen(inputs: Sequence[TensorSpec], feeds: Iterator[Feed]) -> dict[str, Counter[tuple[int, ...]]]:
    found: dict[str, Counter[tuple[int, ...]]] = {spec.name: Counter() for spec in inputs}
    for feed in feeds:
        for name, counts in found.items():
            counts[tuple(feed[name].shape)] += 1
    return found


def _span(spec: TensorSpec, seen: Counter[tuple[int, ...]] | None) -> dict[str, list[int]]:
    least: list[int] = []
    best: list[int] = []
    most: list[int] = []
    common = seen.most_common(1)[0][0] if seen else None
    for axis, size in enumerate(spec.shape):
        if isinstance(size, int):
            sizes = (size, size, size)
        elif seen and common is not None:
            there = [shape[axis] for shape in seen]
            sizes = (1 if axis == 0 else min(there), common[axis], max(there))
        else:
            sizes = (1, 1, MOST_BATCH) if axis == 0 else (1, FREE_SIZE, MOST_FREE)
        for row, value in zip((least, best, most), sizes, strict=True):
            row.append(max(1, value))
    return {"min": least, "opt": best, "max": most}


def plain_names(model: onnx.ModelProto, specs: Sequence[TensorSpec]) -> dict[str, TensorSpec]:
    """{original name: as it is called in the artifact}: trtexec's command line ends a name at ``:`` and ``,``. Renames in
    ``model``."""
    from edgekit.quantize.graphs import FreshNames

    fresh = FreshNames(model.graph)
    found = {}
    for spec in specs:
        name = spec.name
        if not _PLAIN.fullmatch(name):
            name = fresh(re.sub(r"[^A-Za-z0-9_./-]", "_", name) or "tensor")
        found[spec.name] = replace(spec, name=name)
    renamed = {old: spec.name for old, spec in found.items() if old != spec.name}
    if renamed:
        _rename(model.graph, renamed)
    return found


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    from edgekit.frontends.graph import subgraphs

    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for body in subgraphs([node]):
            _rename(body, names)
