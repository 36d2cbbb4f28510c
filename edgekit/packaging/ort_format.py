"""An ONNX model in ONNX Runtime's own format, with the list of operators that a reduced build of the runtime needs.

It is made by ONNX Runtime's own tool and compared with the golden pair. The tool does not write the same bytes twice, so neither
does a package that asks for this format.
"""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..contract import to_artifact, to_original
from ..distance import distance, fraction
from ..errors import ModelError
from ..state import work_folder
from .source import PackageSource

OPERATORS = "required_operators_and_types.config"
TIMEOUT_S = 600


@dataclass(frozen=True)
class OrtModel:
    """``operators``: the configuration that a reduced build takes (``--include_ops_by_config``)."""

    data: bytes
    operators: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def to_ort_format(source: PackageSource) -> OrtModel:
    """The artifact, optimized for ARM as far as that is the same on all of them, and verified on the golden pair.

    Raises:
        ModelError: ONNX Runtime's tool refuses the model, or what it made computes something else.
    """
    with work_folder() as scratch:
        command = [
            sys.executable, "-m", "onnxruntime.tools.convert_onnx_models_to_ort", str(source.entry), "--output_dir", str(scratch),
            "--optimization_style", "Fixed", "--target_platform", "arm", "--enable_type_reduction",
        ]  # fmt: skip
        environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as problem:
            raise ModelError("the model was not converted to .ort", why=f"it took over {TIMEOUT_S} s") from problem
        made = scratch / f"{source.entry.stem}.ort"
        if done.returncode != 0 or not made.is_file():
            why = done.stderr.strip().splitlines()[-1:] or ["its tool says nothing"]
            raise ModelError("ONNX Runtime does not convert this model to .ort", why=why[0][:300], hint="leave out --ort-format")
        _check(source, made)
        operators = (scratch / f"{source.entry.stem}.{OPERATORS}").read_text("utf-8")
        return OrtModel(made.read_bytes(), _without_comments(operators).encode())


def _without_comments(text: str) -> str:
    """The tool's comments name folders of this machine."""
    return "".join(f"{line}\n" for line in text.splitlines() if line and not line.startswith("#"))


def _check(source: PackageSource, path: Path) -> None:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = source.threads
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    names = [tensor.artifact.name for tensor in source.outputs]
    found = dict(zip(names, session.run(names, to_artifact(source.golden.inputs, source.artifact.io)), strict=True))
    for name, output in to_original(found, source.artifact.io).items():
        found_apart = distance(source.golden.outputs[name], output)
        apart = math.inf if found_apart is None else fraction(*found_apart)
        if apart > source.golden.tolerance:
            raise ModelError(
                "the model computes something else in .ort format",
                why=f"{name[:80]!r} is {apart:.2g} of its largest value off, {source.golden.tolerance:g} is allowed",
                hint="leave out --ort-format",
            )
