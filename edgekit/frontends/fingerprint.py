"""What identifies a model: its structure and its values, wherever they are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from ..values import canonical
from .external_data import external_digest
from .graph import all_tensors, without_weights
from .tensors import clear_content, digest, is_external


def tensor_digests(proto: onnx.ModelProto, folder: Path) -> list[tuple[str, str]]:
    """(label, sha256 of its values) of every tensor, in the order of :func:`graph.all_tensors`; external ones are streamed.

    Raises:
        ModelError: a tensor has fewer or more values than its shape says.
    """
    return [(label, external_digest(t, folder) if is_external(t) else digest(t)) for label, t in all_tensors(proto)]


def fingerprint(proto: onnx.ModelProto, digests: Sequence[tuple[str, str]], shape: Mapping[str, Sequence[int]]) -> str:
    """sha256 over the graph without values, the digest of each tensor's values in order, and the shape overrides.

    Names and layouts of data files do not enter, so a renamed data file, or the same weights inside the model file, is the same
    model. ``proto`` is not changed, and its weights are not copied.
    """
    skeleton, weights = without_weights(proto, over_bytes=-1)
    for weight in weights:
        skeleton.graph.initializer.add(name=weight.name, data_type=weight.data_type, dims=weight.dims)
    for _, tensor in all_tensors(skeleton):
        clear_content(tensor)
    total = hashlib.sha256(b"edgekit-model/1\n")
    total.update(hashlib.sha256(skeleton.SerializeToString(deterministic=True)).digest())
    for _, value in digests:
        total.update(bytes.fromhex(value))
    total.update(canonical({name: list(sizes) for name, sizes in shape.items()}))
    return total.hexdigest()
