"""A model, its artifact as the tensorrt target makes it, and sessions with the real agent on a stand-in Jetson."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgekit_tensorrt.guest_code import CODE

from edgekit.devices import AgentSession
from edgekit.devices.plan import BenchPlan
from edgekit.types import RunFailure, Runner, sha256_file

from .remote import board
from .small_models import classifier
from .stand_in_jetson import StandIn

PLAN = BenchPlan(rounds=2, round_s=0.02)


class Bench:
    """A model, its artifact as the target makes it, and a session with the agent on a stand-in."""

    def __init__(self, folder: Path, jetson: StandIn, model: Path | None = None) -> None:
        self.folder, self.jetson = folder, jetson
        path = model or classifier(folder / "model.onnx")
        loaded = onnx.load(path)
        self.folder_of_artifact = path.parent
        self.files = {path.name: sha256_file(path)}
        self.specs = {"inputs": _specs(loaded.graph.input), "outputs": _specs(loaded.graph.output)}
        self.device = board(folder, "board", **jetson.environment)

    def runner(self, **options: Any) -> Runner:
        [entry] = self.files
        plain = {"entry": entry, "precision": "float32", "strongly_typed": True, "sparsity": "disable", "shapes": None,
                 "timing_cache": True, "memory_pool_bytes": None}  # fmt: skip
        return Runner(CODE, "device", ("tensorrt",), tuple(self.files), {**plain, **self.specs, **options})

    @contextmanager
    def session(self) -> Iterator[AgentSession]:
        runners = {"tensorrt": self.runner()}
        with AgentSession(self.device.transport, runners, become=self.jetson.become) as session, session.lease():
            session.push(self.folder_of_artifact, self.files)
            yield session

    def prepare(self, session: AgentSession, key: str = "one", **options: Any) -> tuple[RunFailure | None, list[str]]:
        said: list[str] = []
        runner = self.runner(**options)
        return session.prepare(key, "tensorrt", runner, self.files, lambda done, total, text: said.append(text)), said

    def open(self, session: AgentSession, key: str = "one", **options: Any) -> Any:
        return session.open(key, "tensorrt", self.runner(**options), self.files)

    @property
    def builds(self) -> list[Path]:
        built = Path(self.device.transport.environment["EDGEKIT_GUEST_HOME"]) / "built"  # type: ignore[attr-defined]
        return sorted(path for path in built.glob("*") if path.suffix != ".part" and not path.name.startswith("kept-"))


def _specs(values: Any) -> list[dict[str, Any]]:
    made = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        made.append({"name": value.name, "dtype": str(dtype), "shape": [d.dim_param or d.dim_value for d in tensor.shape.dim]})
    return made


def expected(path: Path, feed: dict[str, Any]) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feed), strict=True))


def feed_of(bench: Bench, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    feed = {}
    for spec in bench.specs["inputs"]:
        shape = [size if isinstance(size, int) and size else 1 for size in spec["shape"]]
        feed[spec["name"]] = rng.standard_normal(shape).astype(spec["dtype"])
    return feed


def dynamic(path: Path) -> Path:
    """``y = x + n`` for any length of ``x``; ``n`` is of 64 bits."""
    make = onnx.helper
    nodes = [make.make_node("Cast", ["n"], ["f"], to=onnx.TensorProto.FLOAT), make.make_node("Add", ["x", "f"], ["y"])]
    value = make.make_tensor_value_info
    inputs = [value("x", onnx.TensorProto.FLOAT, ["batch", 3]), value("n", onnx.TensorProto.INT64, [1])]
    graph = make.make_graph(nodes, "g", inputs, [value("y", onnx.TensorProto.FLOAT, ["batch", 3])])
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8), path)
    return path
