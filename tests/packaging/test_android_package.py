"""What ``--format android`` writes: a Maven repository, a source module, the same bytes twice; and how an APK stores the model."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import time
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.java import need_jdk, run
from support.packages import DIGITS, ONNX_IO, artifact_bundle, digits_onnx, digits_tflite, labels_file
from support.requirements import missing

import edgekit
from edgekit import PackageOptions
from edgekit.errors import DependencyError, UsageError
from edgekit.packaging.android import compiler
from edgekit.packaging.android.format import FORMAT
from edgekit.packaging.manifest import check_package
from edgekit.packaging.source import read_source
from edgekit.types import TensorMap, TensorSpec

need_jdk()
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
KINDS = ("onnx", "tflite")
STEM = "maven/local/models/digits/1.0.0/digits-1.0.0"


@pytest.mark.parametrize("kind", KINDS)
def test_an_apk_stores_the_model_uncompressed_and_aligned(android_packages: dict[str, Path], tmp_path: Path, kind: str) -> None:
    for tool in ("aapt2", "zipalign", "apksigner", "keytool"):
        if shutil.which(tool) is None:
            missing(f"{tool} is not there: apt-get install aapt zipalign apksigner")
    if not FRAMEWORK.exists():
        missing(f"{FRAMEWORK} is not there: apt-get install android-framework-res")
    with zipfile.ZipFile(android_packages[kind] / f"{STEM}.aar") as aar:
        aar.extractall(tmp_path / "aar")
    suffix = {"onnx": ".onnx", "tflite": ".tflite"}[kind]
    aar, apk = tmp_path / "aar", str(tmp_path / "aligned.apk")
    run(
        ["aapt2", "link", "-o", str(tmp_path / "linked.apk"), "-I", str(FRAMEWORK), "--manifest", str(aar / "AndroidManifest.xml"),
         "-A", str(aar / "assets"), "-0", suffix]
    )  # fmt: skip
    run(["zipalign", "-p", "4", str(tmp_path / "linked.apk"), apk])
    run(["zipalign", "-c", "-p", "4", apk])
    if kind == "tflite":  # once is enough: signing must not move what is aligned
        keys = [
            "-keystore",
            str(tmp_path / "keys"),
            "-storepass",
            "for-a-test",
            "-alias",
            "test",
            "-keyalg",
            "EC",
            "-validity",
            "2",
        ]
        run(["keytool", "-genkeypair", *keys, "-dname", "CN=test"])
        run(["apksigner", "sign", "--ks", str(tmp_path / "keys"), "--ks-pass", "pass:for-a-test", "--min-sdk-version", "24", apk])
        run(["apksigner", "verify", "--min-sdk-version", "24", apk])

    model = (DIGITS / {"onnx": "digits.onnx", "tflite": "digits-int8-io.tflite"}[kind]).read_bytes()
    data = Path(apk).read_bytes()
    with zipfile.ZipFile(apk) as archive:
        member = archive.getinfo(f"assets/edgekit/local.models/digits/model{suffix}")
    assert member.compress_type == zipfile.ZIP_STORED
    name_bytes, extra_bytes = (
        int.from_bytes(data[member.header_offset + at : member.header_offset + at + 2], "little") for at in (26, 28)
    )
    start = member.header_offset + 30 + name_bytes + extra_bytes
    assert start % 4 == 0
    assert data[start : start + len(model)] == model, "what openFd maps is the model as it was measured"


@pytest.mark.parametrize("kind", KINDS)
def test_two_packages_of_a_bundle_are_the_same_bytes(android_packages: dict[str, Path], tmp_path: Path, kind: str) -> None:
    again = tmp_path / "again"
    labels = labels_file(tmp_path)
    edgekit.package(android_packages[kind].parent / f"{kind}-bundle", format="android", output=again, labels=labels)
    assert contents(again) == contents(android_packages[kind])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_maven_repository_has_what_gradle_looks_for(android_packages: dict[str, Path], kind: str) -> None:
    found = contents(android_packages[kind] / "maven")
    plain = {name for name in found if name.rsplit(".", 1)[1] not in ("md5", "sha1", "sha256", "sha512")}
    version = "local/models/digits/1.0.0/digits-1.0.0"
    assert plain == {f"{version}.aar", f"{version}.pom", f"{version}-sources.jar", "local/models/digits/maven-metadata.xml"}
    for name in plain:
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            assert found[f"{name}.{algorithm}"].decode() == hashlib.new(algorithm, found[name]).hexdigest()
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    pom = ElementTree.fromstring(found[f"{version}.pom"])
    assert [pom.findtext(f"m:{key}", namespaces=namespace) for key in ("groupId", "artifactId", "version", "packaging")] == [
        "local.models", "digits", "1.0.0", "aar",
    ]  # fmt: skip
    dependency = pom.find("m:dependencies/m:dependency", namespace)
    assert dependency is not None
    expected = {"onnx": "onnxruntime-android", "tflite": "litert"}[kind]
    assert dependency.findtext("m:artifactId", namespaces=namespace) == expected
    with zipfile.ZipFile(android_packages[kind] / f"{STEM}.aar") as aar:
        assert {"AndroidManifest.xml", "R.txt", "classes.jar", "proguard.txt"} <= set(aar.namelist())
        assert not [name for name in aar.namelist() if name.endswith(".so")], "no native code: pages of 16 KB do not apply"
        assert 'android:minSdkVersion="24"' in aar.read("AndroidManifest.xml").decode()
        assert {member.date_time for member in aar.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        inside = json.loads(aar.read("assets/edgekit/local.models/digits/package.json"))
    assert inside["schema"] == "edgekit.package-manifest/1"
    assert "files" not in inside
    assert check_package(android_packages[kind]).manifest.format == "android"


def test_the_source_module_is_the_aar_s_source(android_packages: dict[str, Path]) -> None:
    module = android_packages["onnx"] / "module"
    gradle = (module / "build.gradle").read_text()
    assert "namespace 'local.models.digits'" in gradle
    assert "minSdk 24" in gradle
    assert "com.microsoft.onnxruntime:onnxruntime-android:1.22.0" in gradle, "nothing newer was measured"
    with zipfile.ZipFile(android_packages["onnx"] / f"{STEM}-sources.jar") as jar:
        sources = {name: jar.read(name) for name in jar.namelist()}
    assert sources == contents(module / "src" / "main" / "java")
    readme = (android_packages["onnx"] / "README.md").read_text()
    for said in ("model.run(bitmap)", "16 KB", "noCompress += 'onnx'", "local.models:digits:1.0.0", "a Gradle build", "selfTest()"):
        assert said in readme


def test_coordinates_and_min_sdk_are_the_caller_s_to_choose(tmp_path: Path) -> None:
    options = PackageOptions(runtime_version="1.23.1", min_sdk=29)
    report = edgekit.package(
        digits_onnx(tmp_path / "bundle"), format="android", output=tmp_path / "out", name="ink", version="2.0.0-rc.1",
        group="com.example.vision", options=options,
    )  # fmt: skip
    stem = "maven/com/example/vision/ink/2.0.0-rc.1/ink-2.0.0-rc.1"
    assert report.delivered == (f"{stem}.aar",)
    pom = (tmp_path / "out" / f"{stem}.pom").read_text()
    assert "<version>1.23.1</version>" in pom
    with zipfile.ZipFile(tmp_path / "out" / f"{stem}.aar") as aar:
        assert 'android:minSdkVersion="29"' in aar.read("AndroidManifest.xml").decode()
        assert 'package="com.example.vision.ink"' in aar.read("AndroidManifest.xml").decode()
        assert "assets/edgekit/com.example.vision/ink/model.onnx" in aar.namelist()


def test_without_a_jdk_only_the_sources_are_written_and_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(DependencyError, match="javac") as caught:
        edgekit.package(bundle, format="android", output=tmp_path / "out")
    assert "--sources-only" in caught.value.hint
    assert not (tmp_path / "out").exists()
    report = edgekit.package(bundle, format="android", output=tmp_path / "out", options=PackageOptions(sources_only=True))
    assert not [name for name in report.files if name.startswith("maven/")]
    assert "module/src/main/java/local/models/digits/DigitsModel.java" in report.files
    assert "Copy `module/`" in (tmp_path / "out" / "README.md").read_text()


def hostile_model(path: Path) -> tuple[Path, tuple[TensorMap, ...]]:
    """Two inputs and two outputs whose names are traps for generated code: words of Java, comments, quotes, clashes."""
    names = ["class", 'x"*/ \\u000a${y}', "results", "Results shape"]
    pairs = [("class", "results"), ('x"*/ \\u000a${y}', "Results shape")]
    nodes = [helper.make_node("Add", [left, "one"], [right]) for left, right in pairs]
    graph = helper.make_graph(
        nodes,
        "traps",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "length"]) for name in names[:2]],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "length"]) for name in names[2:]],
        [numpy_helper.from_array(np.float32([1]), "one")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    specs = [TensorSpec(name, "float32", (1, "length")) for name in names]
    roles = ("input", "input", "output", "output")
    return path, tuple(TensorMap(role, spec, spec) for role, spec in zip(roles, specs, strict=True))  # type: ignore[arg-type]


def test_hostile_names_become_harmless_java(tmp_path: Path) -> None:
    model, io = hostile_model(tmp_path / "traps.onnx")
    feed = {tensor.original.name: np.float32([[1, 2, 3]]) for tensor in io if tensor.role == "input"}
    bundle = artifact_bundle(tmp_path / "bundle", model, io, preprocess=None, feed=feed, name='* class A {} "net"\n @see.onnx')
    report = edgekit.package(bundle, format="android", output=tmp_path / "out")  # it compiles, without a warning
    assert report.name == "class-a-net-see"
    text = (tmp_path / "out/module/src/main/java/local/models/class_a_net_see/ClassANetSeeModel.java").read_text()
    assert "run(float[] class_, int[] classShape, float[] xU000AY, int[] xU000AyShape)" in text
    assert "public final float[] results_2;" in text
    assert '"x\\"*/ \\\\u000a${y}"' in text


def test_artifacts_that_android_cannot_run_name_the_target_to_build(tmp_path: Path) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    source = read_source(bundle)
    from dataclasses import replace

    for changed, what in (
        (
            replace(source, artifact=replace(source.artifact, entry="model.xml", files={"model.xml": "0" * 64})),
            "--target tflite or onnx",
        ),
        (replace(source, artifact=replace(source.artifact, files={**source.artifact.files, "w.bin": "0" * 64})), "2 GB"),
        (replace(source, sizes={"model.onnx": 2 << 30}), "a smaller format"),
    ):
        refused = FORMAT.reject(changed)
        assert refused is not None
        assert what in refused.instead
    assert FORMAT.reject(source) is None


@pytest.mark.parametrize("version", ["1.2", "latest.release", "1.0'\n}", "[1,)"])
def test_a_runtime_version_is_a_version(tmp_path: Path, version: str) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    options = PackageOptions(runtime_version=version, sources_only=True)
    if version == "1.2":
        edgekit.package(bundle, format="android", output=tmp_path / "out", options=options)
        return
    with pytest.raises(UsageError, match="is no version"):
        edgekit.package(bundle, format="android", output=tmp_path / "out", options=options)


def test_an_option_of_another_format_is_refused(tmp_path: Path) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    with pytest.raises(UsageError, match="--ort-format has no meaning with --format web"):
        edgekit.package(bundle, format="web", output=tmp_path / "out", options=PackageOptions(ort_format=True))


def test_an_ort_file_computes_the_same_and_names_its_operators(tmp_path: Path) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    options = PackageOptions(ort_format=True, sources_only=True)
    edgekit.package(bundle, format="android", output=tmp_path / "out", options=options)
    model = tmp_path / "out/module/src/main/assets/edgekit/local.models/digits/model.ort"
    source = read_source(bundle)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    [logits] = session.run(None, dict(source.golden.inputs))
    np.testing.assert_allclose(logits, source.golden.outputs["logits"], atol=1e-4)
    java = (tmp_path / "out/module/src/main/java/local/models/digits/DigitsModel.java").read_text()
    assert hashlib.sha256(model.read_bytes()).hexdigest() in java
    assert 'FOLDER + "model.ort"' in java
    operators = (tmp_path / "out/required_operators_and_types.config").read_text()
    assert "Conv" in operators
    assert "#" not in operators, "the tool's comments name folders of this machine"
    assert "noCompress += 'ort'" in (tmp_path / "out/README.md").read_text()
    check_package(tmp_path / "out")


def test_ort_is_for_onnx_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is for ONNX models"):
        edgekit.package(
            digits_tflite(tmp_path / "bundle"), format="android", output=tmp_path / "out", options=PackageOptions(ort_format=True)
        )


def large_model(path: Path) -> tuple[Path, tuple[TensorMap, ...]]:
    """10 MB of weights that do not compress."""
    weights = np.random.default_rng(0).standard_normal((784, 3190)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["wide"]),
        helper.make_node("ReduceSum", ["wide", "axes"], ["sum"], keepdims=1),
        helper.make_node("Expand", ["sum", "ten"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(np.array([1]), "axes"),
            numpy_helper.from_array(np.array([1, 10]), "ten"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path, ONNX_IO


def test_ten_megabytes_package_in_under_five_seconds(tmp_path: Path) -> None:
    """Counted in seconds of the processor, javac's included, so that neighbours on this machine do not count."""
    model, io = large_model(tmp_path / "large.onnx")
    assert model.stat().st_size > 10_000_000
    bundle = artifact_bundle(tmp_path / "bundle", model, io)
    before, started = _cpu_s(), time.monotonic()
    report = edgekit.package(bundle, format="android", output=tmp_path / "out")
    used_s = _cpu_s() - before
    print(f"{used_s:.2f} s of the processor, {time.monotonic() - started:.2f} s on the clock")
    assert used_s < 5
    assert report.model_bytes == model.stat().st_size
    assert 0 < report.delivered_bytes - report.model_bytes < 100_000


def _cpu_s() -> float:
    usage: list[Any] = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in usage)


def test_javac_of_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "javac"
    fake.write_text("#!/bin/sh\necho 'error: release version 8 not supported' >&2\nexit 2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert compiler.find_javac() == str(fake)
    with pytest.raises(DependencyError, match="does not compile for Java 8"):
        compiler.compile_wrapper({"A.java": "class A {}"})
