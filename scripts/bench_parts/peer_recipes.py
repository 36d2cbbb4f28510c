"""The default recipes of other tools, as their documents give them. Runs as a program of its own:

    python -m bench_parts.peer_recipes RECIPE MODEL CALIBRATION OUT

``CALIBRATION`` is an archive of feeds (see :func:`feeds`); the artifact is written into the folder ``OUT``. The last line on stdout
is JSON: what was made, or ``{"fails": reason}``. Nothing of edgekit takes part, and a crash ends this process only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

Feed = dict[str, Any]
Made = dict[str, Any]
Recipe = Callable[[Path, Path, Path], Made]


def main(recipes: Mapping[str, Recipe]) -> None:
    sys.excepthook = _say_why
    recipe, model, calibration, out = sys.argv[1], *map(Path, sys.argv[2:5])
    print(json.dumps(recipes[recipe](model, calibration, out)))


def _say_why(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, problem, trace)
    print(json.dumps({"fails": f"{kind.__name__}: {' '.join(str(problem).split())}"}), flush=True)


def feeds(archive: Path) -> Iterator[Feed]:
    """The feeds of an archive whose members are named ``number/input``."""
    with np.load(archive, allow_pickle=False) as arrays:
        members = [name.partition("/") for name in arrays.files]
        names = list(dict.fromkeys(name for _, _, name in members))
        for number in range(len(members) // len(names)):
            yield {name: arrays[f"{number}/{name}"] for name in names}


# ---------------------------------------------------------------- onnxruntime.quantization
def onnxruntime_static(model: Path, calibration: Path, out: Path) -> Made:
    """``quantize_static`` with its defaults (Q/DQ, MinMax) after ``quant_pre_process``, as the documentation recommends."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
        def __init__(self) -> None:
            self._feeds = feeds(calibration)

        def get_next(self) -> Feed | None:
            return next(self._feeds, None)

    quantize_static(prepared(model, out), out / "model.onnx", Reader())
    return onnx_file(out)


def onnxruntime_dynamic_int8(model: Path, _: Path, out: Path) -> Made:
    return _onnxruntime_dynamic(model, out, "QInt8")


def onnxruntime_dynamic_uint8(model: Path, _: Path, out: Path) -> Made:
    return _onnxruntime_dynamic(model, out, "QUInt8")


def onnxruntime_dynamic_int8_prepared(model: Path, _: Path, out: Path) -> Made:
    return _onnxruntime_dynamic(prepared(model, out), out, "QInt8")


def onnxruntime_dynamic_uint8_prepared(model: Path, _: Path, out: Path) -> Made:
    return _onnxruntime_dynamic(prepared(model, out), out, "QUInt8")


def _onnxruntime_dynamic(model: Path, out: Path, weight_type: str) -> Made:
    """``quantize_dynamic`` with one of the two weight types, everything else by default."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(model, out / "model.onnx", weight_type=QuantType[weight_type])
    return onnx_file(out)


def prepared(model: Path, out: Path) -> Path:
    """After ``quant_pre_process``; its symbolic shape inference needs a package that onnxruntime does not require."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = out / "prepared.onnx"
    quant_pre_process(model, path, skip_symbolic_shape=True)
    return path


def onnx_file(out: Path) -> Made:
    (out / "prepared.onnx").unlink(missing_ok=True)
    return {"entry": "model.onnx", "options": {"graph_optimization": "all"}}


# ---------------------------------------------------------------- OpenVINO, NNCF
def openvino_default(model: Path, _: Path, out: Path) -> Made:
    """``convert_model``, ``save_model``, and no hint: the runtime chooses the precision."""
    ov = openvino_package()
    return ir_files(ov, ov.convert_model(model), out)


def nncf_default(model: Path, calibration: Path, out: Path) -> Made:
    """``nncf.quantize`` with its defaults on the converted model."""
    ov = openvino_package()
    import nncf

    converted = ov.convert_model(model)
    return ir_files(ov, nncf.quantize(converted, nncf.Dataset(list(feeds(calibration)))), out)


def openvino_package() -> Any:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # a benchmark reports its use to nobody
    import openvino

    return openvino


def ir_files(ov: Any, converted: Any, out: Path) -> Made:
    """Writes the IR, and tells what compiling it without any hint comes to."""
    path = out / "model.xml"
    ov.save_model(converted, path)
    compiled = ov.Core().compile_model(path, "CPU")
    return {
        "entry": path.name,
        "options": {
            "inference_precision": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
            "dynamic_quantization_group_size": int(compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE")),
        },
        "ports": [sorted(port.get_names()) for port in (*compiled.inputs, *compiled.outputs)],
    }


RECIPES = {
    function.__name__: function
    for function in (
        onnxruntime_static,
        onnxruntime_dynamic_int8,
        onnxruntime_dynamic_uint8,
        onnxruntime_dynamic_int8_prepared,
        onnxruntime_dynamic_uint8_prepared,
        openvino_default,
        nncf_default,
    )
}

if __name__ == "__main__":
    main(RECIPES)
