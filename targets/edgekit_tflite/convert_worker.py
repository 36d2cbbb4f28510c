"""Runs inside the toolchain onnx2tf, in a folder of its own; imports only what is there. Nothing imports this file.

``convert``: model.onnx becomes model_float32.tflite and correspondence.json.
``run``: feeds/N.npz ("0", "1", ...: the inputs in order) become outputs/N.npz, likewise; with one more argument, a JSON list of
names in a file, also the values of those inner tensors for the first feed: inner.npz, by their position in the list.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

MODEL = "model_float32.tflite"


def convert() -> None:
    """Layouts stay as they are in the ONNX: the converter's guess would depend on what sizes happen to be."""
    import onnx
    import onnx2tf

    names = [value.name for value in onnx.load("model.onnx", load_external_data=False).graph.input]
    onnx2tf.convert(
        input_onnx_file_path="model.onnx",
        output_folder_path="converted",
        tflite_backend="flatbuffer_direct",
        keep_shape_absolutely_input_names=names,
        not_use_onnxsim=True,  # shapes are fixed and folded already
        not_use_opname_auto_generate=True,  # nodes keep their names
        non_verbose=True,
        verbosity="error",
    )
    made = Path("converted")
    (made / MODEL).rename(MODEL)
    report = json.loads((made / "model_tensor_correspondence_report.json").read_text())
    found = {
        record["onnx_output_name"]: record["resolved_tflite_tensor_name"]
        for record in report["records"]
        if record["exists_in_final_model"]
    }
    Path("correspondence.json").write_text(json.dumps(found))


def run(inner: str = "") -> None:
    """In LiteRT's own kernels where inner tensors are asked for: XNNPACK does not keep them."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if inner else OpResolverType.AUTO
    interpreter = Interpreter(
        MODEL, num_threads=2, experimental_preserve_all_tensors=bool(inner), experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    Path("outputs").mkdir(exist_ok=True)
    for path in sorted(Path("feeds").iterdir()):
        with np.load(path, allow_pickle=False) as feed:
            for index, detail in enumerate(inputs):
                interpreter.set_tensor(detail["index"], feed[str(index)])
        interpreter.invoke()
        np.savez(Path("outputs") / path.name, **{str(i): interpreter.get_tensor(d["index"]) for i, d in enumerate(outputs)})
        if inner:
            break
    if inner:
        wanted = {name: str(index) for index, name in enumerate(json.loads(Path(inner).read_text()))}
        found = [detail for detail in interpreter.get_tensor_details() if detail["name"] in wanted]
        np.savez("inner.npz", **{wanted[detail["name"]]: interpreter.get_tensor(detail["index"]) for detail in found})


if __name__ == "__main__":
    {"convert": convert, "run": run}[sys.argv[1]](*sys.argv[2:])
