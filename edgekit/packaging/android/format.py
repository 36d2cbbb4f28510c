"""``--format android``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ...errors import UsageError
from ...progress import Progress
from ...types import Reject, TensorMap
from ..formats import PackageFile, PackageOptions
from ..golden import GOLDEN, pack_golden
from ..manifest import describe, json_bytes
from ..ort_format import OPERATORS, OrtModel, to_ort_format
from ..source import PackageSource
from ..templates import render
from .archive import pack
from .compiler import compile_wrapper
from .maven import folder_of, metadata, pom, with_checksums
from .readme import write_readme
from .runtimes import JAVA_TYPES, RUNTIMES, Runtime, default_version
from .wrapper import StoredModel, Wrapper, asset_folder, write_wrapper

MIN_SDK = 24  # what both runtimes ask for
MAX_MODEL_BYTES = 1 << 30  # an asset is mapped as one piece, and an APK is a zip of less than 4 GB
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}(-[0-9A-Za-z.]+)?")
_HERE = "edgekit.packaging.android"
_METADATA = """aarFormatVersion=1.0
aarMetadataVersion=1.0
minCompileSdk=1
minCompileSdkExtension=0
minAndroidGradlePluginVersion=1.0.0
"""


class AndroidFormat:
    """See :class:`edgekit.packaging.formats.Format`."""

    name = "android"
    options = frozenset({"runtime_version", "min_sdk", "ort_format", "sources_only"})
    not_verified = ("the Gradle module was not built", "no app was built with the Android SDK, and none ran on a phone")

    def reject(self, source: PackageSource) -> Reject | None:
        runtime = RUNTIMES.get(source.kind)
        what = f"{source.winner.id} for Android"[:200]
        if runtime is None:
            return Reject(what, f"no runtime there loads {source.kind or 'such'} files", "build with --target tflite or onnx")
        if len(source.artifact.files) > 1:
            return Reject(
                what, "the model is in several files, and assets have no paths", "a model under 2 GB keeps its weights inside"
            )
        if source.model_bytes > MAX_MODEL_BYTES:
            return Reject(
                what, f"the model has {source.model_bytes} bytes; an app's assets take {MAX_MODEL_BYTES}", "a smaller format"
            )
        for tensor in source.artifact.io:
            refused = _reject_tensor(what, source, runtime, tensor)
            if refused is not None:
                return refused
        return None

    def files(self, source: PackageSource, options: PackageOptions, progress: Progress) -> Iterator[PackageFile]:
        runtime = RUNTIMES[source.kind]
        version = options.runtime_version or default_version(runtime, source)
        if not _VERSION.fullmatch(version) or len(version) > 40:
            raise UsageError(
                f"--runtime-version {version[:40]!r} is no version", hint=f"such as {default_version(runtime, source)}"
            )
        min_sdk, model = (
            options.min_sdk or MIN_SDK,
            StoredModel(f"model{source.kind}", source.entry, source.entry_sha256, source.sizes[source.artifact.entry]),
        )
        if options.ort_format:
            converted = _converted(source, progress)
            model = StoredModel("model.ort", converted.data, converted.sha256, len(converted.data))
            yield PackageFile(OPERATORS, converted.operators)
        wrapper = write_wrapper(source, runtime, model)
        assets: dict[str, bytes | Path] = {f"{asset_folder(source)}{path}": data for path, data in _assets(source, model).items()}
        if not options.sources_only:
            progress.stage("compiling the wrapper")
            classes = compile_wrapper(wrapper.sources)
            yield from _repository(source, wrapper, classes, assets, f"{runtime.coordinates}:{version}", min_sdk)
        yield from _module(source, wrapper, assets, f"{runtime.coordinates}:{version}", min_sdk, delivered=options.sources_only)
        readme = write_readme(
            source, runtime, wrapper, f"{runtime.coordinates}:{version}", Path(model.name).suffix, with_aar=not options.sources_only
        )
        yield PackageFile("README.md", readme.encode())


def _converted(source: PackageSource, progress: Progress) -> OrtModel:
    if source.kind != ".onnx":
        raise UsageError("--ort-format is for ONNX models", why=f"this one is a {source.kind} file")
    progress.stage("converting the model to .ort")
    converted = to_ort_format(source)
    progress.note("ONNX Runtime writes other bytes of an .ort file each time: this package is not the same twice")
    return converted


def _reject_tensor(what: str, source: PackageSource, runtime: Runtime, tensor: TensorMap) -> Reject | None:
    name, original, stored = tensor.original.name[:80], tensor.original.dtype, tensor.artifact.dtype
    if original not in JAVA_TYPES or stored not in runtime.dtypes:
        return Reject(what, f"{name!r} is of {original}, stored as {stored}: Java's {runtime.title} has no such numbers", "float32")
    converts = tensor.scale is not None or original == stored or {original, stored} == {"int32", "int64"}
    if not converts or len(tensor.original.shape) != len(tensor.artifact.shape):
        return Reject(what, f"{name!r} is {original} and stored as {stored}, which the wrapper does not convert", "another target")
    if runtime.fixed_shapes and None in source.shape(tensor):
        return Reject(what, f"{name!r} has an axis of free size, and {runtime.title} allocates it before", "deploy with --shape")
    return None


def _assets(source: PackageSource, model: StoredModel) -> dict[str, bytes | Path]:
    golden, _ = pack_golden(source)
    found: dict[str, bytes | Path] = {
        model.name: model.content,
        GOLDEN: golden,
        "package.json": json_bytes(describe(source, AndroidFormat.name)),
    }
    if source.labels:
        found["labels.txt"] = "\n".join([*source.labels, ""]).encode()
    return found


def _repository(
    source: PackageSource,
    wrapper: Wrapper,
    classes: dict[str, bytes],
    assets: dict[str, bytes | Path],
    dependency: str,
    min_sdk: int,
) -> Iterator[PackageFile]:
    """The Maven repository: AAR, sources, POM, and the list of versions, each with its checksums."""
    stem = f"{folder_of(source)}/{source.version}/{source.name}-{source.version}"
    manifest = render(
        _HERE,
        "templates/AndroidManifest.xml",
        package=f' package="{wrapper.package}"',
        sdk=f'    <uses-sdk android:minSdkVersion="{min_sdk}" />\n',
    )
    aar = pack(
        {
            "AndroidManifest.xml": manifest.encode(),
            "META-INF/com/android/build/gradle/aar-metadata.properties": _METADATA.encode(),
            "R.txt": b"",
            "classes.jar": pack(dict(classes)),
            "proguard.txt": b"",
            **{f"assets/{path}": data for path, data in assets.items()},
        }
    )
    coordinates, _, version = dependency.rpartition(":")
    contents = {
        f"{stem}.aar": aar,
        f"{stem}.pom": pom(source, coordinates, version),
        f"{stem}-sources.jar": pack({path: text.encode() for path, text in wrapper.sources.items()}),
        f"{folder_of(source)}/maven-metadata.xml": metadata(source),
    }
    for path, content in contents.items():
        for name, data in with_checksums(f"maven/{path}", content):
            yield PackageFile(name, data, delivered=name.endswith(".aar"))


def _module(
    source: PackageSource, wrapper: Wrapper, assets: dict[str, bytes | Path], dependency: str, min_sdk: int, *, delivered: bool
) -> Iterator[PackageFile]:
    """The same as a module of sources for Gradle."""
    gradle = render(
        _HERE, "templates/build.gradle", name=source.name, package=wrapper.package, min_sdk=min_sdk, dependency=dependency
    )
    yield PackageFile("module/build.gradle", gradle.encode())
    yield PackageFile("module/consumer-rules.pro", b"")
    manifest = render(_HERE, "templates/AndroidManifest.xml", package="", sdk="")
    yield PackageFile("module/src/main/AndroidManifest.xml", manifest.encode())
    for path, text in wrapper.sources.items():
        yield PackageFile(f"module/src/main/java/{path}", text.encode())
    for path, data in assets.items():
        yield PackageFile(f"module/src/main/assets/{path}", data, delivered=delivered)


FORMAT = AndroidFormat()
