"""A process of its own that asks TensorRT-RTX whether it takes ONNX files: started by ``parser_evidence`` with this file's path.

Standard input is one JSON document ``{"models": [{"path", "compute_capability", "shapes"}], "memory_bytes"}``; standard output
gets one
JSON line a model, as soon as it is known, so that a crash costs one answer only. Standard library and ``tensorrt_rtx``; no GPU
and no driver: plans are built for a compute capability that is named, and dropped at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

_MOST_MESSAGES, _LONGEST_MESSAGE = 8, 400


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the library prints on its own
    job = json.load(sys.stdin)
    if job.get("memory_bytes"):
        _bound_memory(int(job["memory_bytes"]))
    import tensorrt_rtx as trt

    class Recorder(trt.ILogger):  # type: ignore[misc] # the package has no types
        """Keeps what the library says, by severity."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[tuple[str, str]] = []

        def log(self, severity: Any, message: str) -> None:
            self.said.append((severity.name, message))

    recorder = Recorder()
    builder = trt.Builder(recorder)
    for model in job["models"]:
        recorder.said.clear()
        started = time.monotonic()
        stage, accepted, errors = _build(trt, builder, recorder, model)
        said = [text for severity, text in recorder.said if severity in ("ERROR", "INTERNAL_ERROR")]
        warned = [text for severity, text in recorder.said if severity == "WARNING"]
        answer = {
            "path": model["path"],
            "accepted": accepted,
            "stage": stage,
            "errors": _short([*errors, *said]),
            "warnings": _short(warned),
            "elapsed_s": time.monotonic() - started,
            "version": trt.__version__,
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _build(trt: Any, builder: Any, recorder: Any, model: dict[str, Any]) -> tuple[str, bool, list[str]]:
    """How far one model comes: ("parse" or "build", whether that worked, what the parser says against it)."""
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, recorder)
    if not parser.parse_from_file(model["path"]):
        return "parse", False, [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, model["compute_capability"]), 0)
    if model.get("sparsity"):
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    shapes = model.get("shapes") or {}
    if shapes:
        profile = builder.create_optimization_profile()
        for name, sizes in shapes.items():
            profile.set_shape(name, sizes["min"], sizes["opt"], sizes["max"])
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    return "build", plan is not None, []


def _parser_error(error: Any) -> str:
    return f"{error.node_operator()} {error.node_name()}: {error.desc()}"


def _short(messages: list[str]) -> list[str]:
    once = dict.fromkeys(" ".join(message.split())[:_LONGEST_MESSAGE] for message in messages)
    return list(once)[:_MOST_MESSAGES]


def _bound_memory(size_bytes: int) -> None:
    import resource  # not on Windows, where no bound is given

    resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, size_bytes))


if __name__ == "__main__":
    main()
