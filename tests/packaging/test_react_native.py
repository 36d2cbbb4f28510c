"""The package for React Native without a phone: TypeScript compiles against the runtimes' types, and its modules run in Node.js."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support import javascript
from support.contract_bundles import PREPROCESS, contract_bundle, picture_bundle, tensor

import edgekit
from edgekit.errors import UsageError
from edgekit.packaging.source import read_source
from edgekit.preprocess import preprocess_image

TWO_ALIKE = [tensor("input", "left", (1, 3)), tensor("input", "right", (1, 3)), tensor("output", "y", (1, 2))]

#: The interface of react-native-fast-tflite 3: buffers in the file's own order, and tensors called as the file calls them.
STAND_IN = """
import { readFileSync } from "node:fs";
const described = JSON.parse(readFileSync(new URL("described.json", import.meta.url)));
const bytes = (base64) => Uint8Array.from(Buffer.from(base64, "base64"));
export async function loadTensorflowModel(source, delegates) {
  if (typeof source !== "number" || delegates.length !== 0) throw new Error("not the packaged asset on the CPU");
  return {
    inputs: described.inputs.map(({ name, dataType, shape }) => ({ name, dataType, shape })),
    outputs: described.outputs.map(({ name, dataType, shape }) => ({ name, dataType, shape })),
    async run(buffers) {
      for (const [index, buffer] of buffers.entries()) {
        const expected = bytes(described.inputs[index].data);
        const same = buffer instanceof ArrayBuffer && Buffer.from(buffer).equals(Buffer.from(expected));
      if (!same) throw new Error(`input ${index} differs`);
      }
      return described.outputs.map(({ data }) => bytes(data).buffer);
    },
    dispose() {},
  };
}
"""


def packaged(bundle: Path, project: Path, **options: Any) -> Path:
    """The package where an app finds it: in the project's ``node_modules``."""
    package = project / "node_modules" / "package"
    package.parent.mkdir(parents=True, exist_ok=True)
    edgekit.package(bundle, format="react-native", output=package, **options)
    return package


def stand_in(project: Path, name: str, text: str, **files: str) -> None:
    folder = project / "node_modules" / name
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"name": name, "type": "module", "main": "index.js"}))
    (folder / "index.js").write_text(text)
    for file, content in files.items():
        (folder / file.replace("_json", ".json")).write_text(content)


def as_module(package: Path) -> None:
    """Node.js does not take modules in a package without a type; Metro does not ask."""
    document = json.loads((package / "package.json").read_text())
    (package / "package.json").write_text(json.dumps({**document, "type": "module"}))


def self_test(package: Path, *args: Path) -> dict[str, Any]:
    as_module(package)
    answer = json.loads(javascript.run_node(javascript.FOLDER / "native_self_test.mjs", package, *args))
    assert isinstance(answer, dict)
    return answer


def test_an_onnx_package_passes_its_self_test_on_onnx_runtime(tmp_path: Path) -> None:
    """ONNX Runtime Web stands for the one on phones: both have the interface of onnxruntime-common."""
    package = packaged(picture_bundle(tmp_path / "bundle", tmp_path / "work"), tmp_path / "app")
    web = javascript.packages() / "node_modules" / "onnxruntime-web" / "dist" / "ort.node.min.mjs"
    stand_in(tmp_path / "app", "onnxruntime-react-native", f'export * from "{web.as_uri()}";')
    answer = self_test(package, package / "model" / "model.onnx")
    assert answer["selfTest"]["ok"]
    assert answer["selfTest"]["outputs"][0]["difference"] < 1e-4
    assert answer["threads"] == {"measured": 1, "effective": 1}
    session = onnxruntime.InferenceSession(str(package / "model" / "model.onnx"), providers=["CPUExecutionProvider"])
    pixels = np.full((7, 9, 3), 99, np.uint8)
    assert np.allclose(answer["output"], session.run(None, {"x": preprocess_image(pixels, PREPROCESS)})[0][0], atol=1e-4)
    assert "GOLDEN" in answer["without"]


def described(bundle: Path, names: dict[str, str], order: slice = slice(None)) -> str:
    """What the file says of its tensors, in its own order, with the stored example's numbers."""
    source = read_source(bundle)
    document: dict[str, Any] = {}
    for role, tensors, arrays in (
        ("inputs", source.inputs[order], source.golden.inputs),
        ("outputs", source.outputs, source.golden.outputs),
    ):
        document[role] = [
            {
                "name": names.get(t.artifact.name, t.artifact.name),
                "dataType": t.artifact.dtype,
                "shape": list(t.artifact.shape),
                "data": javascript.base64_of(arrays[t.original.name]),
            }
            for t in tensors
        ]
    return json.dumps(document)


@pytest.mark.parametrize("names", [{}, {"left": "serving_default_left:0"}])
def test_a_litert_package_hands_its_tensors_over_in_the_file_s_order(tmp_path: Path, names: dict[str, str]) -> None:
    io = [tensor("input", "left", (1, 3)), tensor("input", "right", (1, 4)), tensor("output", "y", (1, 2))]
    bundle = contract_bundle(tmp_path / "bundle", tmp_path / "work", io, file="model.tflite")
    package = packaged(bundle, tmp_path / "app")
    reversed_inputs = described(bundle, names, slice(None, None, -1))
    stand_in(tmp_path / "app", "react-native-fast-tflite", STAND_IN, described_json=reversed_inputs)
    answer = self_test(package)
    assert answer["selfTest"] == {"ok": True, "outputs": [{"key": "y", "difference": 0, "allowed": pytest.approx(0.1, abs=0.1)}]}
    assert answer["threads"] == {"measured": 2, "effective": None}  # this runtime does not say


def test_tensors_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    bundle = contract_bundle(tmp_path / "bundle", tmp_path / "work", TWO_ALIKE, file="model.tflite")
    package = packaged(bundle, tmp_path / "app")
    stand_in(tmp_path / "app", "react-native-fast-tflite", STAND_IN, described_json=described(bundle, {"left": "a", "right": "b"}))
    with pytest.raises(AssertionError, match="cannot be told from others"):
        self_test(package)


@pytest.mark.parametrize(
    ("file", "load"), [("model.onnx", 'load({ model: "file:///model.onnx", threads: 2 })'), ("model.tflite", "load()")]
)
def test_a_strict_consumer_compiles(tmp_path: Path, file: str, load: str) -> None:
    io = [tensor("input", "x", (1, 3)), tensor("output", "y", (1, 2))]
    project = tmp_path / "app"
    packaged(contract_bundle(tmp_path / "bundle", tmp_path / "work", io, file=file), project)
    for name in ("onnxruntime-react-native", "onnxruntime-common", "react-native-fast-tflite", "react-native-nitro-modules"):
        (project / "node_modules" / name).symlink_to(javascript.packages() / "node_modules" / name)
    (project / "main.ts").write_text(f"""
import {{ load, MODEL, type LoadedModel }} from "package";
import {{ GOLDEN }} from "package/golden";
const model: LoadedModel = await {load};
const y: Float32Array = (await model.run({{ x: new Float32Array(3) }})).y.data;
const asset: number = MODEL;
const bytes: ArrayBuffer = GOLDEN;
// @ts-expect-error: an input of another kind
await model.run({{ x: new Int8Array(3) }});
export {{ asset, bytes, y }};
""")
    options = {"strict": True, "target": "es2022", "module": "esnext", "moduleResolution": "bundler", "noEmit": True, "types": []}
    # the runtimes' own declarations need React Native's, which are not here
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": {**options, "skipLibCheck": True}, "files": ["main.ts"]}))
    assert javascript.tsc(project) == ""


def test_the_package_says_what_the_app_installs(tmp_path: Path) -> None:
    io = [tensor("input", "x", (1, 3)), tensor("output", "y", (1, 2))]
    package = packaged(contract_bundle(tmp_path / "bundle", tmp_path / "work", io, file="model.tflite"), tmp_path / "app")
    document = json.loads((package / "package.json").read_text())
    assert set(document["peerDependencies"]) == {"react-native", "react-native-fast-tflite", "react-native-nitro-modules"}
    assert "dependencies" not in document
    text = (package / "README.md").read_text()
    assert 'assetExts.push("tflite")' in text
    assert "No phone" in text
    assert "$" not in text


def test_what_cannot_run_there_is_refused(tmp_path: Path) -> None:
    io = [tensor("input", "x", (1, 3)), tensor("output", "y", (1, 2))]
    bundle = contract_bundle(tmp_path / "bundle", tmp_path / "work", io, file="model.xml")
    with pytest.raises(UsageError, match="does not run in React Native"):
        edgekit.package(bundle, format="react-native", output=tmp_path / "out")
