"""ONNX Runtime, asked quietly: does it load this model, what shapes does it see, what does it answer to a made-up input."""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..errors import ModelError
from ..types import Array, TensorSpec

#: Sizes to try for free dimensions that are not the batch: common heights, widths, sequence and audio-window lengths.
_TRIAL_SIZES = (32, 64, 224, 320, 128, 256, 512, 576, 640, 16, 8, 4, 2, 1)
_TRIAL_BUDGET_S = 60.0
_UNKNOWN_OPERATOR = re.compile(r"([\w.]*):(\w+)\(-?\d+\) is not a registered function/op")
_SOURCE_LOCATION = re.compile(r"(?:\[ONNXRuntimeError\] : \d+ : \w+ : )?(?:/\S+:\d+ .*?\) )?")


def quiet_session(proto: onnx.ModelProto, folder: Path | None = None) -> Any:
    """An ``onnxruntime.InferenceSession`` of the model as it is: CPU, one thread, no optimizations, nothing printed.

    Args:
        folder: where external data are, if any of ``proto``'s tensors still are external (checked before, see external_data).

    Raises:
        ModelError: ONNX Runtime cannot load it; says why, and which operators it does not know.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", "1")
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.absolute()))
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # onnxruntime's exceptions have no common base class
        reason = plain_reason(problem)
        unknown = _UNKNOWN_OPERATOR.search(str(problem))
        if unknown:
            raise unknown_operators([f"{unknown[1] or 'ai.onnx'}.{unknown[2]}"]) from problem
        raise ModelError(
            "ONNX Runtime cannot load this model", why=reason, hint="export it again; `opset_version=17` suits most tools"
        ) from problem


def unknown_operators(names: Sequence[str]) -> ModelError:
    """The error for operators that the reference runtime does not have."""
    return ModelError(
        f"the model uses operators that ONNX Runtime does not know: {', '.join(names)}",
        why="custom-operator libraries are never loaded, they are code from outside",
        hint="export the model with standard ONNX operators",
    )


def plain_reason(problem: BaseException) -> str:
    """The first line of what onnxruntime or onnx says, without its source locations."""
    text = str(problem).strip()
    text = _SOURCE_LOCATION.sub("", text, count=1)
    return (text.splitlines() or [type(problem).__name__])[0][:300].strip()


@functools.cache
def newest_ir_version() -> int:
    """The newest ONNX file format (``ir_version``) that the installed ONNX Runtime reads."""
    make = onnx.helper.make_tensor_value_info
    ends = [make(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "probe", ends[:1], ends[1:])
    for version in range(onnx.IR_VERSION, 8, -1):
        try:
            quiet_session(onnx.helper.make_model(graph, ir_version=version, opset_imports=[onnx.helper.make_opsetid("", 13)]))
        except ModelError:
            continue
        return version
    return 8  # every ONNX Runtime since 1.10


def trial_feeds(inputs: Sequence[TensorSpec]) -> Iterator[dict[str, Array]]:
    """Made-up inputs, seeded: first zeros for integers, then zeros and ones; free dimensions take one trial size after another.

    The first axis is taken for the batch (1, then 2); equal names get equal sizes. When no size suits all inputs, only the first
    input gets it and the others (states, lengths) get the batch's. A static model gets two feeds of one shape.
    """
    batch_names = {spec.shape[0] for spec in inputs if spec.shape}
    is_free = any(isinstance(size, str) for spec in inputs for size in spec.shape)
    sizes = [(size, size) for size in _TRIAL_SIZES] if is_free else [(0, 0), (0, 0)]
    if is_free and len(inputs) > 1:
        sizes += [(size, 0) for size in _TRIAL_SIZES]
    for index, (first_size, other_size) in enumerate(sizes):
        random = np.random.default_rng(index)
        batch = 1 if index % 2 == 0 else 2
        feed = {}
        for spec in inputs:
            size = (first_size if spec is inputs[0] else other_size) or batch
            shape = [dim if isinstance(dim, int) else batch if dim in batch_names else size for dim in spec.shape]
            feed[spec.name] = _values(random, np.dtype(spec.dtype), shape, zeros=index == 0)
        yield feed


def _values(random: np.random.Generator, dtype: np.dtype[Any], shape: list[int], *, zeros: bool) -> Array:
    if dtype.kind == "f":
        return random.random(shape).astype(dtype)
    if zeros:
        return np.zeros(shape, dtype)
    return random.integers(0, 2, shape).astype(dtype)


def trial_runs(
    session: Any, inputs: Sequence[TensorSpec], failures: list[ModelError] | None = None
) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
    """(feed, outputs) of each trial feed that suits the model; why the others do not is appended to ``failures``.

    Ends when the runs together have taken a minute: a damaged loop count must not hold up the caller for ever.
    """
    left_s = _TRIAL_BUDGET_S
    for feed in trial_feeds(inputs):
        started_s = time.monotonic()
        try:
            outputs = run(session, feed, limit_s=left_s)
        except ModelError as problem:
            if failures is not None:
                failures.append(problem)
        else:
            yield feed, outputs
        left_s -= time.monotonic() - started_s
        if left_s <= 0:
            return


def run(session: Any, feed: Mapping[str, Array], *, limit_s: float = _TRIAL_BUDGET_S) -> dict[str, Array]:
    """One inference, stopped after ``limit_s`` seconds.

    Raises:
        ModelError: ONNX Runtime fails on this feed, or takes too long.
    """
    import onnxruntime

    names = [output.name for output in session.get_outputs()]
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    watch = threading.Timer(limit_s, setattr, (options, "terminate", True))
    watch.daemon = True
    watch.start()
    try:
        return dict(zip(names, session.run(names, dict(feed), options), strict=True))
    except Exception as problem:  # onnxruntime's exceptions have no common base class
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feed.items())
        why = f"it takes over {limit_s:.3g} s" if options.terminate else plain_reason(problem)
        raise ModelError(f"ONNX Runtime fails to run the model on {shapes}", why=why) from problem
    finally:
        watch.cancel()
