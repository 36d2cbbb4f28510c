"""Packages for iOS, as far as Linux goes: without a Swift compiler the sources are parsed, and their arithmetic is executed."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.contract_bundles import PREPROCESS, contract_bundle, picture_bundle, tensor
from support.requirements import missing
from support.swift_subset import SwiftSubset, function

from edgekit.contract import to_artifact, to_original
from edgekit.errors import UsageError
from edgekit.packaging.api import package
from edgekit.packaging.formats import PackageOptions
from edgekit.packaging.ios.wrapper import double
from edgekit.packaging.manifest import check_package
from edgekit.packaging.names import quoted
from edgekit.preprocess import Preprocess, preprocess_image
from edgekit.preprocess_golden import golden_vectors, synthetic_pixels
from edgekit.types import TensorMap

IMAGE = tensor("input", "image", (1, 3, 4, 5), stored="uint8", permutation=(0, 2, 3, 1), scale=0.5, zero_point=3)
SCORES = tensor("output", "scores", (1, 4))


def packaged(bundle: Path, out: Path, **more: Any) -> Path:
    package(bundle, format="ios", output=out, **more)
    check_package(out)
    return out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Swift package on ONNX Runtime, of a model that takes pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "labels.txt").write_text('zero\n"one" \\(two)\nthrée\nfour\n', encoding="utf-8")
    return packaged(picture_bundle(folder / "bundle", folder / "work"), folder / "out", name="digits", labels=folder / "labels.txt")


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pod on LiteRT, of a model whose input is quantized and transposed."""
    folder = tmp_path_factory.mktemp("pod")
    bundle = contract_bundle(folder / "bundle", folder / "work", (IMAGE, SCORES), file="model.tflite", options={"xnnpack": False})
    return packaged(bundle, folder / "out", name="scores", group="com.example", version="2.0.1")


def swift_of(package: Path, name: str) -> str:
    [path] = package.rglob(name)
    return path.read_text(encoding="utf-8")


# ---------------------------------------------------------------- what is in it
def test_a_swift_package(pictures: Path) -> None:
    files = {path.relative_to(pictures).as_posix() for path in pictures.rglob("*") if path.is_file()}
    assert {
        "Package.swift", "README.md", "Sources/DigitsPackage/DigitsPackage.swift", "Sources/DigitsPackage/OnnxSession.swift",
        "Sources/DigitsPackage/Preprocess.swift", "Sources/DigitsPackage/Model/model.onnx",
        "Sources/DigitsPackage/Model/golden.bin",
        "Tests/DigitsPackageTests/SelfTests.swift", "Tests/DigitsPackageTests/PreprocessTests.swift",
    } < files  # fmt: skip
    assert not any("LiteRT" in name or name.endswith(".podspec") for name in files)
    project = swift_of(pictures, "Package.swift")
    assert '.package(url: "https://github.com/microsoft/onnxruntime-swift-package-manager", from: "1.24.2")' in project
    assert '.product(name: "onnxruntime", package: "onnxruntime-swift-package-manager")' in project
    assert 'resources: [.copy("Model")]' in project
    source = swift_of(pictures, "DigitsPackage.swift")
    assert "public func run(_ picture: Picture) throws -> Outputs" in source
    assert "RunOptions(threads: 1, level: .all, allowSpinning: true, foldWeights: false)" in source
    assert r'labels: [String] = ["zero", "\"one\" \\(two)", "thr\u{E9}e", "four"]' in source
    readme = (pictures / "README.md").read_text()
    example = readme.split("```swift\n")[1].split("```")[0].strip().splitlines()
    assert len([line for line in example if line]) <= 5
    assert "No Swift compiler has seen them" in readme
    assert "import DigitsPackage" in example


def test_a_pod(pod: Path) -> None:
    files = {path.relative_to(pod).as_posix() for path in pod.rglob("*") if path.is_file()}
    assert "ScoresPackage.podspec" in files
    assert "Sources/ScoresPackage/Model/model.tflite" in files
    assert not any(name in files for name in ("Package.swift", "Sources/ScoresPackage/Preprocess.swift"))
    spec = (pod / "ScoresPackage.podspec").read_text()
    assert "spec.dependency 'TensorFlowLiteSwift', '>= 2.14.0', '< 3'" in spec
    assert "spec.version = '2.0.1'" in spec
    assert "https://example.com/" in spec
    source = swift_of(pod, "ScoresPackage.swift")
    assert "RunOptions(threads: 2, xnnpack: false)" in source
    assert 'name: "image", elementType: .uint8, shape: [1, 3, 4, 5],' in source
    assert "permutation: [0, 2, 3, 1], scale: 0x1.0000000000000p-1, zeroPoint: 3)" in source


def test_the_same_bundle_gives_the_same_bytes(pod: Path, tmp_path: Path) -> None:
    bundle = contract_bundle(tmp_path / "b", tmp_path / "w", (IMAGE, SCORES), file="model.tflite", options={"xnnpack": False})
    again = packaged(bundle, tmp_path / "out", name="scores", group="com.example", version="2.0.1")
    for path in pod.rglob("*"):
        if path.is_file():
            assert (again / path.relative_to(pod)).read_bytes() == path.read_bytes(), path


def test_files_beside_the_model_keep_their_names(tmp_path: Path) -> None:
    from dataclasses import replace

    from edgekit.packaging.ios.runtimes import RUNTIMES
    from edgekit.packaging.source import read_source

    source = read_source(contract_bundle(tmp_path / "b", tmp_path / "w", (tensor("input", "x", (1,)), SCORES)))
    artifact = replace(source.artifact, files={"net/m.onnx": "0" * 64, "net/m.data": "0" * 64}, entry="net/m.onnx")
    several = replace(source, artifact=artifact)
    assert [RUNTIMES[".onnx"].place(several, path) for path in artifact.files] == ["files/net/m.onnx", "files/net/m.data"]


# ---------------------------------------------------------------- syntax
def test_every_source_parses(pictures: Path, pod: Path, tmp_path: Path) -> None:
    hostile = contract_bundle(tmp_path / "b", tmp_path / "w", HOSTILE)
    sources = [*pictures.rglob("*.swift"), *pod.rglob("*.swift"), *packaged(hostile, tmp_path / "out").rglob("*.swift")]
    assert len(sources) > 20
    for path in sources:
        assert broken_nodes(path.read_bytes()) == [], path
        # What the grammar takes and a compiler does not: `try` to the right of an operator, `Self` before an initializer has ended.
        assert not re.search(r"\? *try\b|\bSelf\.", path.read_text()), path
    assert broken_nodes(b"func f() { let x = (1 }")  # the parser does see what is wrong


def broken_nodes(source: bytes) -> list[str]:
    try:
        import tree_sitter
        import tree_sitter_swift
    except ImportError:
        missing("tree-sitter and tree-sitter-swift parse the Swift sources: pip install tree-sitter tree-sitter-swift")
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
    pending, found = [parser.parse(source).root_node], []
    while pending:
        node = pending.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append(f"line {node.start_point[0] + 1}: {node.type}")
        pending += node.children
    return found


def test_the_podspec_is_ruby(pod: Path) -> None:
    if shutil.which("ruby") is None:
        missing("ruby checks the syntax of the podspec")
    done = subprocess.run(["ruby", "-c", pod / "ScoresPackage.podspec"], capture_output=True, text=True, check=False)
    assert done.stdout == "Syntax OK\n", done.stderr


HOSTILE = tuple(
    tensor(role, name, (1, 2))
    for role, name in itertools.product(
        ("input", "output"),
        (
            '"',
            'x\\(exit(1))"',
            "x\ny",
            "self",
            "Type",
            "init",
            "a-b",
            "a_b",
            "A B",
            "\u202eabc",
            "💥",
            "",
            "*/ */",
            "import Darwin",
        ),
    )
)


def test_no_text_of_a_model_leaves_its_literal(tmp_path: Path) -> None:
    source = swift_of(packaged(contract_bundle(tmp_path / "b", tmp_path / "w", HOSTILE), tmp_path / "out"), "?*Package.swift")
    assert source.isascii()
    for t in HOSTILE:
        assert quoted(t.artifact.name, "swift") in source
    for line in source.splitlines():  # outside of literals and comments no text of the model is left
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line.split("//")[0])
        assert not re.search(r"exit\(|import Darwin|\\", code), line
    properties = re.findall(r"public var (\w+): Tensor<Float>", source)
    assert len(set(properties)) == len(HOSTILE) // 2
    assert not {"self", "Type", "init"} & set(properties)


# ---------------------------------------------------------------- arithmetic, executed
@pytest.fixture(scope="module")
def arithmetic(pictures: Path) -> SwiftSubset:
    layout = swift_of(pictures, "Layout.swift")
    wanted = ("quantized", "dequantized", "quantizedLimits", "permuted")
    return SwiftSubset(
        [
            swift_of(pictures, "Resize.swift"),
            swift_of(pictures, "Preprocess.swift"),
            *(function(layout, name) for name in wanted),
            function(swift_of(pictures, "Golden.swift"), "distance"),
        ]
    )


def recorded(arithmetic: SwiftSubset, p: Preprocess) -> Any:
    return arithmetic.call(
        "Preprocess", height=p.resize[0], width=p.resize[1], color=p.color.lower(), applyExif=p.apply_exif, crop=p.crop,
        padValue=p.pad_value, filter=p.filter, antialias=p.antialias, roundToUInt8=p.round_to_uint8, mean=list(map(float, p.mean)),
        std=list(map(float, p.std)), channelsFirst=p.layout == "NCHW", keepLevels=p.dtype == "uint8",
    )  # fmt: skip


def preprocessed(arithmetic: SwiftSubset, pixels: Any, orientation: int, settings: Any) -> list[float]:
    height, width, _ = pixels.shape
    image = arithmetic.call("Pixels", height=height, width=width, channels=3, levels=pixels.ravel().tolist())
    found = arithmetic.call("preprocessed", _=image, orientation=orientation, recorded=settings)
    assert isinstance(found, list)
    return found


def test_the_preprocessing_equals_the_golden_vectors(arithmetic: SwiftSubset) -> None:
    for number, vector in enumerate(golden_vectors(), start=1):
        found = preprocessed(arithmetic, vector.pixels, vector.orientation, recorded(arithmetic, vector.preprocess))
        expected = vector.expected
        np.testing.assert_array_equal(
            np.array(found).astype(expected.dtype).reshape(expected.shape), expected, err_msg=f"vector {number}"
        )


def test_the_recorded_preprocessing_is_in_the_wrapper(pictures: Path, arithmetic: SwiftSubset) -> None:
    source = swift_of(pictures, "DigitsPackage.swift")
    settings = arithmetic.evaluate(source.split("static let preprocess = ")[1])
    pixels = synthetic_pixels(13, 21, seed=5)
    expected = preprocess_image(pixels, PREPROCESS)
    found = np.array(preprocessed(arithmetic, pixels, 1, settings)).astype(np.float32).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)
    assert "Tensor(values, shape: [1, 1, 8, 8])" in source


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_quantization_and_layout_equal_the_contract(dtype: str, arithmetic: SwiftSubset) -> None:
    rng = np.random.default_rng(3)
    shape, axes, scale, zero_point = (2, 3, 4, 5), (0, 2, 3, 1), 0.037, 3
    t = tensor("input", "x", shape, stored=dtype, permutation=axes, scale=scale, zero_point=zero_point)
    array = rng.normal(0, 8, shape).astype(np.float32)
    array.ravel()[:5] = (1e9, -1e9, 0.0, scale / 2, -3 * scale / 2)  # clipped, and halves
    moved = arithmetic.call("permuted", _=array.astype(float).ravel().tolist(), shape=list(shape), axes=list(axes))
    low, high = arithmetic.call("quantizedLimits", of=dtype)
    stored = [arithmetic.call("quantized", _=v, scale=scale, zeroPoint=zero_point, low=low, high=high) for v in moved]
    expected = to_artifact({"x": array}, [t])["x"]
    np.testing.assert_array_equal(np.array(stored).reshape(expected.shape), expected)
    back = TensorMap("output", t.original, t.artifact, axes, scale, zero_point)
    real = [arithmetic.call("dequantized", _=v, scale=scale, zeroPoint=zero_point) for v in stored]
    inverse = [int(axis) for axis in np.argsort(axes)]
    real = arithmetic.call("permuted", _=real, shape=list(expected.shape), axes=inverse)
    np.testing.assert_array_equal(np.array(real).astype(np.float32).reshape(shape), to_original({"x": expected}, [back])["x"])
    nothing = arithmetic.call("quantized", _=float("nan"), scale=scale, zeroPoint=zero_point, low=low, high=high)
    assert nothing == float(zero_point)


def test_the_self_test_compares_what_is_not_finite(arithmetic: SwiftSubset, pictures: Path) -> None:
    nan, inf = math.nan, math.inf

    def distance(value: float, stored: float) -> float:
        found = arithmetic.call("distance", _=value, **{"from": stored})
        assert isinstance(found, float)
        return found

    assert [distance(*pair) for pair in ((-inf, -inf), (nan, nan), (2.0, 2.5))] == [0.0, 0.0, 0.5]
    assert not any(distance(*pair) <= 1e300 for pair in ((inf, -inf), (1.0, -inf), (nan, 1.0), (1.0, nan), (nan, inf)))
    body = function(swift_of(pictures, "Golden.swift"), "compare")  # a stored infinity must not become the scale of all others
    assert "if expected.isFinite {\n            largest = max(largest, abs(expected))" in body


def test_the_executed_subset_is_strict() -> None:
    text = "func f(_ x: Int, by y: Int) -> Int {\n    return x + y * 2 >> 1\n}\n"
    assert SwiftSubset([text]).call("f", _=7, by=-7) == 7 + -7 * (2 >> 1)  # shifts bind tightest in Swift
    with pytest.raises(SyntaxError, match="takes"):
        SwiftSubset([text]).call("f", _=1, x=2)
    with pytest.raises(TypeError, match="float and int"):
        SwiftSubset([text]).call("f", _=1, by=2.0)
    with pytest.raises(OverflowError):
        SwiftSubset(["func g(_ x: Int) -> UInt8 {\n    return UInt8(x)\n}\n"]).call("g", _=256)


@pytest.mark.parametrize("value", [0.1, 1 / 255, 3.0, -2.5e-8, 0.0])
def test_literals_are_exact(value: float) -> None:
    assert SwiftSubset([]).evaluate(double(value)) == value


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("io", "file", "why", "instead"),
    [
        ((IMAGE, SCORES), "model.xml", "load .onnx and .tflite", "--target onnx"),
        (
            (tensor("input", "x", (1, 2), stored="int8", scale=0.1, zero_point=0), SCORES),
            "model.tflite",
            "'x' is int8",
            "--target onnx",
        ),
        ((tensor("input", "x", (1, 2), "float16"), SCORES), "model.onnx", "'x' is float16", "--target tflite"),
        ((tensor("input", "x", (1, 2), "bool"), SCORES), "model.onnx", "'x' is bool", "--target tflite"),
        ((tensor("input", "x", (1, "width")), SCORES), "model.tflite", "free size", "--shape"),
    ],
)
def test_what_ios_cannot_run(io: tuple[TensorMap, ...], file: str, why: str, instead: str, tmp_path: Path) -> None:
    bundle = contract_bundle(tmp_path / "b", tmp_path / "w", io, file=file)
    with pytest.raises(UsageError, match=re.escape(why)) as refused:
        package(bundle, format="ios", output=tmp_path / "out")
    assert instead in refused.value.hint
    assert not (tmp_path / "out").exists()


def test_the_version_of_the_runtime(tmp_path: Path) -> None:
    bundle = contract_bundle(tmp_path / "b", tmp_path / "w", (tensor("input", "x", ("n", 2)), SCORES))
    out = packaged(bundle, tmp_path / "out", options=PackageOptions(runtime_version="1.22.0"))
    assert 'from: "1.22.0"' in (out / "Package.swift").read_text()
    with pytest.raises(UsageError, match="no version"):
        package(bundle, format="ios", output=tmp_path / "other", options=PackageOptions(runtime_version='1"; evil'))


def test_the_reduced_manifest_goes_into_the_app(pictures: Path) -> None:
    [path] = pictures.rglob("contract.json")
    document = json.loads(path.read_text())
    assert document["preprocess"] == json.loads(json.dumps(PREPROCESS.to_json()))
    assert "files" not in document
    assert document["bundle"]["signature"] is None
