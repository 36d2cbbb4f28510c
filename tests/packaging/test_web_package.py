"""The npm package for the web without a browser: what is in it, whom it suits, and that a strict consumer compiles against it."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support import javascript
from support.contract_bundles import contract_bundle, picture_bundle, tensor

import edgekit
from edgekit.errors import UsageError
from edgekit.packaging.formats import PackageOptions
from edgekit.packaging.manifest import check_package

HOSTILE = ('*/ alert("x") /*', "__proto__", "constructor", "a`${b}`", "</script>", "line\nbreak", "\u2028", "Ünïcode 数")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A package of a classifier that takes pictures."""
    edgekit.package(picture_bundle(tmp_path / "bundle", tmp_path / "work"), format="web", output=tmp_path / "web", name="shapes")
    return tmp_path / "web"


def packaged(tmp_path: Path, io: Any, **options: Any) -> Path:
    bundle = contract_bundle(tmp_path / "bundle", tmp_path / "work", io, **options)
    edgekit.package(bundle, format="web", output=tmp_path / "web")
    return tmp_path / "web"


def contract_of(package: Path) -> dict[str, Any]:
    script = package.parent / "print_contract.mjs"
    script.write_text(f'import {{ CONTRACT }} from "{(package / "contract.js").as_uri()}"; console.log(JSON.stringify(CONTRACT));')
    document = json.loads(javascript.run_node(script))
    assert isinstance(document, dict)
    return document


# ---------------------------------------------------------------- what is in it
def test_the_package_says_what_it_needs(pictures: Path) -> None:
    document = json.loads((pictures / "package.json").read_text())
    assert document["name"] == "@local.models/shapes"
    assert document["private"] is True  # no group was given: it cannot be published by mistake
    assert document["peerDependencies"] == {"onnxruntime-web": "^1.30.0"}
    assert "dependencies" not in document
    assert "scripts" not in document or set(document["scripts"]) == {"demo"}  # nothing runs when it is installed


def test_a_version_of_the_runtime_can_be_asked_for(tmp_path: Path) -> None:
    bundle = picture_bundle(tmp_path / "bundle", tmp_path / "work")
    edgekit.package(
        bundle, format="web", output=tmp_path / "web", group="com.example", options=PackageOptions(runtime_version="1.22.0")
    )
    document = json.loads((tmp_path / "web" / "package.json").read_text())
    assert document["peerDependencies"] == {"onnxruntime-web": "^1.22.0"}
    assert document["name"] == "@com.example/net"
    assert "private" not in document
    with pytest.raises(UsageError, match="no version"):
        edgekit.package(bundle, format="web", output=tmp_path / "other", options=PackageOptions(runtime_version="latest; rm"))


def test_two_packages_of_a_bundle_are_the_same_bytes(tmp_path: Path, pictures: Path) -> None:
    edgekit.package(tmp_path / "bundle", format="web", output=tmp_path / "again", name="shapes")
    first, second = check_package(pictures).manifest, check_package(tmp_path / "again").manifest
    assert first.files == second.files
    assert len(first.files) > 30


def test_the_readme_has_the_lines_a_developer_needs(pictures: Path) -> None:
    text = (pictures / "README.md").read_text()
    code = text.split("```js\n")[1].split("```")[0]
    assert code.count("\n") == 6  # five lines and an empty one
    assert "await model.runPicture(picture)" in code
    for file in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        assert f"- `{file}` " in text
    assert "latency" in text
    assert "$" not in text.replace("${", "")  # every place of the template was filled


def test_a_model_without_pictures_says_that_it_has_no_preprocessing(tmp_path: Path) -> None:
    package = packaged(tmp_path, [tensor("input", "input_ids", ("n", 16), "int64"), tensor("output", "embedding", ("n", 8))])
    text = (package / "README.md").read_text()
    assert "no\npreprocessing" in text or "no preprocessing" in text
    assert "no tokenizer" in text
    assert "runPicture" not in text
    assert "readonly inputIds: Tensor<BigInt64Array> | BigInt64Array;" in (package / "contract.d.ts").read_text()


def test_names_of_tensors_cannot_leave_their_strings(tmp_path: Path) -> None:
    io = [*(tensor("input", name, (1, 3)) for name in HOSTILE), tensor("output", "</script>", (1, 2))]
    package = packaged(tmp_path, io)
    contract = contract_of(package)
    assert [found["name"] for found in contract["inputs"]] == list(HOSTILE)
    found = [entry["key"] for entry in contract["inputs"]]
    assert len({key.lower() for key in found}) == len(HOSTILE)
    assert all(key.isidentifier() and key.isascii() for key in found)
    assert compiled(package, 'import { load } from "package"; export const model = await load();') == ""


def test_weights_beside_the_model_are_where_it_looks_for_them(tmp_path: Path) -> None:
    from dataclasses import replace

    from support.bundles import onnx_artifact, small_bundle

    from edgekit.types import sha256_file

    work = tmp_path / "work"
    work.mkdir()
    artifact, runner = onnx_artifact(work)
    (work / "weights").mkdir()
    (work / "weights" / "0.bin").write_bytes(b"0123")
    files = {**artifact.files, "weights/0.bin": sha256_file(work / "weights" / "0.bin")}
    small_bundle(
        tmp_path / "bundle", tmp_path / "other", artifact=replace(artifact, files=files), artifact_folder=work, runner=runner
    )
    edgekit.package(tmp_path / "bundle", format="web", output=tmp_path / "web")
    external = contract_of(tmp_path / "web")["files"]["externalData"]
    assert list(external) == ["weights/0.bin"]
    assert external["weights/0.bin"]["url"] == (tmp_path / "web" / "model" / "weights" / "0.bin").as_uri()
    assert (tmp_path / "web" / "model" / "weights" / "0.bin").read_bytes() == b"0123"


# ---------------------------------------------------------------- whom it suits
@pytest.mark.parametrize(
    ("file", "io", "why"),
    [
        ("model.xml", [tensor("input", "x", (1, 3)), tensor("output", "y", (1, 2))], "does not run in a browser"),
        (
            "model.tflite",
            [tensor("input", "x", (1, 3), stored="int8", scale=0.1, zero_point=0), tensor("output", "y", (1, 2))],
            "is int8",
        ),
        ("model.onnx", [tensor("input", "x", (1, 3), "float16", stored="float32"), tensor("output", "y", (1, 2))], "be converted"),
    ],
)
def test_what_a_browser_cannot_run_is_refused_and_names_the_target(tmp_path: Path, file: str, io: Any, why: str) -> None:
    bundle = contract_bundle(tmp_path / "bundle", tmp_path / "work", io, file=file)
    with pytest.raises(UsageError) as caught:
        edgekit.package(bundle, format="web", output=tmp_path / "web")
    assert why in str(caught.value)
    assert "onnx" in str(caught.value) or "float32" in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "web").exists()


# ---------------------------------------------------------------- consumers
CONSUMER = """
import { best, decodePicture, load, type Inputs, type LoadedModel, type Outputs, type Ranked } from "package";

const model: LoadedModel = await load({ threads: 1 });
const image: Float32Array = new Float32Array(64);
const outputs: Outputs = await model.run({ x: image });
const same: Outputs = await model.run({ x: { data: image, dims: [1, 1, 8, 8] } } satisfies Inputs);
const logits: Float32Array = outputs.logits.data;
const first: Ranked | undefined = best(same.logits, model.contract.labels)[0];
const { logits: seen } = await model.runPicture(await decodePicture(new Blob()));
const passed: boolean = (await model.selfTest()).ok;
export { first, logits, passed, seen };
"""
WRONG = {
    "an input of another name": "await model.run({ y: new Float32Array(64) });",
    "an input of another kind": "await model.run({ x: new Int8Array(64) });",
    "an output of another name": "(await model.run({ x: new Float32Array(64) })).scores;",
    "no input": "await model.run({});",
}


def compiled(package: Path, text: str, **settings: Any) -> str:
    """What ``tsc --strict`` says to a consumer of the package, which it finds as the npm package ``package``."""
    project = package.parent / "consumer"
    shutil.rmtree(project, ignore_errors=True)
    (project / "node_modules").mkdir(parents=True)
    for name in ("onnxruntime-web", "onnxruntime-common", "@litertjs"):
        (project / "node_modules" / name).symlink_to(javascript.packages() / "node_modules" / name)
    shutil.copytree(package, project / "node_modules" / "package")
    (project / "main.ts").write_text(text)
    (project / "package.json").write_text('{"type": "module"}')
    options = {"strict": True, "target": "es2022", "module": "esnext", "moduleResolution": "bundler", "noEmit": True, "types": []}
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": {**options, **settings}, "files": ["main.ts"]}))
    return javascript.tsc(project)


@pytest.mark.parametrize(("module", "resolution"), [("esnext", "bundler"), ("nodenext", "nodenext")])
def test_a_strict_consumer_compiles(pictures: Path, module: str, resolution: str) -> None:
    assert compiled(pictures, CONSUMER, module=module, moduleResolution=resolution) == ""


def test_the_compiler_refuses_what_the_contract_does_not_have(pictures: Path) -> None:
    lines = "\n".join(WRONG.values())
    said = compiled(pictures, f'import {{ load }} from "package";\nconst model = await load();\n{lines}\nexport {{}};')
    refused = {int(line.split("(")[1].split(",")[0]) for line in said.splitlines() if line.startswith("main.ts(")}
    assert refused == set(range(3, 3 + len(WRONG)))


def test_a_packed_package_installs_in_an_empty_project(pictures: Path, tmp_path: Path) -> None:
    javascript.packages()
    project = tmp_path / "project"
    project.mkdir()
    packed = npm("pack", "--silent", "--pack-destination", project, cwd=pictures)
    assert packed == "local.models-shapes-1.0.0.tgz"
    (project / "package.json").write_text('{"name": "empty", "private": true}')
    npm("install", f"./{packed}", "--offline", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund", cwd=project)
    installed = project / "node_modules" / "@local.models" / "shapes"
    published = {path.relative_to(pictures).as_posix() for path in pictures.rglob("*") if path.is_file()} - {"edgekit-package.json"}
    assert {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()} == published
    assert (installed / "model" / "model.onnx").read_bytes() == (pictures / "model" / "model.onnx").read_bytes()


def npm(*args: str | Path, cwd: Path) -> str:
    command = [shutil.which("npm") or "npm", *map(str, args)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---------------------------------------------------------------- the demo's server
@pytest.mark.parametrize(
    "path",
    [
        "/../bundle/edgekit.json",
        "/%2e%2e/bundle/edgekit.json",
        "/..%2fbundle/edgekit.json",
        "/.git/config",
        "/%00",
        "/%zz",
        "/demo/runtime/../../package.json/x",
        "/nothing",
    ],
)
def test_the_server_hands_out_nothing_but_the_package(pictures: Path, path: str) -> None:
    with javascript.served(pictures) as url:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port or 0, timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status in (400, 404)
        assert b"schema" not in response.read()
        connection.request("GET", "/model/model.onnx")
        assert connection.getresponse().read() == (pictures / "model" / "model.onnx").read_bytes()
        connection.close()
