"""The Java sources of a package: a class for this model, and the few beside it that are the same for all models."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...preprocess import Preprocess
from ...types import TensorMap
from ..golden import GoldenEntry, pack_golden
from ..names import JAVA, comment, identifiers, pascal, quoted, snake
from ..source import PackageSource
from ..templates import read, render
from .runtimes import JAVA_TYPES, Runtime, engine_options

_HERE = "edgekit.packaging.android"
_COMMON = ("Assets", "Golden", "Preprocess", "TensorSlot")
_LINE = 128
#: Names that the generated method and constructor use themselves, beside those with a capital.
_IN_RUN, _IN_OUTPUTS = ("engine",), ("results",)


@dataclass(frozen=True)
class StoredModel:
    """The model's file as it lies in the assets."""

    name: str
    content: bytes | Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Wrapper:
    """``sources``: {path under a source root: text}, the model's class first; ``names``: {"input x": identifier};
    ``parameters``: those of its method ``run``, in order.
    """

    package: str
    class_name: str
    sources: dict[str, str]
    names: dict[str, str]
    parameters: tuple[str, ...]


def asset_folder(source: PackageSource) -> str:
    """Where the package's files lie in an app's assets: two packages in one app do not meet."""
    return f"edgekit/{source.group}/{source.name}/"


def java_package(source: PackageSource) -> str:
    name = snake(source.name)
    return f"{source.group}.{name}{'_' if name in JAVA.reserved else ''}"


def write_wrapper(source: PackageSource, runtime: Runtime, model: StoredModel) -> Wrapper:
    """The sources for ``source`` in ``runtime``."""
    package = java_package(source)
    class_name = pascal(source.name) + ("" if pascal(source.name).endswith("Model") else "Model")
    inputs = identifiers([t.original.name for t in source.inputs], JAVA, taken=_IN_RUN)
    outputs = identifiers([t.original.name for t in source.outputs], JAVA, taken=_IN_OUTPUTS)
    naming = _Naming(
        inputs,
        _shape_names(source, source.inputs, inputs, _IN_RUN),
        outputs,
        _shape_names(source, source.outputs, outputs, _IN_OUTPUTS),
    )
    folder = package.replace(".", "/")
    sources = {f"{folder}/{class_name}.java": _model(source, runtime, model, package, class_name, naming)}
    used = [name for name in _COMMON if name != "Preprocess" or source.preprocess]
    for name, place in (*((name, "common") for name in used), ("Engine", runtime.sources)):
        text = read(_HERE, f"java/{place}/{name}.java")
        sources[f"{folder}/{name}.java"] = text.replace("package edgekit.template;", f"package {package};", 1)
    names = {f"input {name}": shown for name, shown in inputs.items()} | {
        f"output {name}": shown for name, shown in outputs.items()
    }
    parameters = tuple(text.split()[-1] for text in _parameters(source, naming))
    return Wrapper(package, class_name, sources, names, parameters)


def _shape_names(
    source: PackageSource, tensors: Sequence[TensorMap], names: Mapping[str, str], taken: Sequence[str]
) -> dict[str, str]:
    free = [tensor.original.name for tensor in tensors if None in source.shape(tensor)]
    found = identifiers([f"{names[name]} shape" for name in free], JAVA, taken=(*taken, *names.values()))
    return dict(zip(free, found.values(), strict=True))


@dataclass(frozen=True)
class _Naming:
    """Identifiers by original name; of shapes only where an axis has a free size."""

    inputs: dict[str, str]
    input_shapes: dict[str, str]
    outputs: dict[str, str]
    output_shapes: dict[str, str]


def _model(source: PackageSource, runtime: Runtime, model: StoredModel, package: str, class_name: str, naming: _Naming) -> str:
    golden, entries = pack_golden(source)
    of_inputs, of_outputs = entries[: len(source.inputs)], entries[len(source.inputs) :]
    has_labels = bool(source.labels) and source.outputs[0].original.dtype in ("float32", "float64")
    first_output = naming.outputs[source.outputs[0].original.name]
    java_type, method, _ = JAVA_TYPES[source.inputs[0].original.dtype]
    return render(
        _HERE,
        "java/Model.java.in",
        package=package,
        name=class_name,
        imports=_imports(source, runtime, has_labels),
        title=f"{comment(source.model_name)}, {comment(source.winner.id)}, in {runtime.title}.",
        model_sha256=model.sha256,
        threads=source.threads,
        folder=quoted(asset_folder(source)),
        entry=quoted(model.name),
        model_bytes=model.size_bytes,
        golden_bytes=len(golden),
        tolerance=repr(float(source.golden.tolerance)),
        input_slots=_indented((_slot(source, tensor) for tensor in source.inputs), 8, ",\n"),
        output_slots=_indented((_slot(source, tensor) for tensor in source.outputs), 8, ",\n"),
        preprocess=_preprocess(source.preprocess) if source.preprocess else "",
        engine_options=engine_options(runtime, source),
        label_field="    private final List<String> labels;\n" if has_labels else "",
        label_load='        labels = Assets.lines(assets, FOLDER + "labels.txt");\n' if has_labels else "",
        output_fields=_output_fields(source, naming),
        output_reads=_output_reads(source, naming),
        input_docs=_indented(_input_docs(source, naming), 5, "\n", "* "),
        parameters=", ".join(_parameters(source, naming)),
        values=", ".join(_values(source, naming)),
        picture_methods=render(_HERE, "java/Pictures.java.in", type=java_type, method=method) if source.preprocess else "",
        label_methods=render(_HERE, "java/Labels.java.in", output=first_output) if has_labels else "",
        golden_inputs=_indented(_golden_inputs(source, of_inputs), 16, ",\n"),
        golden_outputs=_indented(_golden_outputs(source, naming, of_outputs), 8, "\n"),
    )


def _imports(source: PackageSource, runtime: Runtime, has_labels: bool) -> str:
    names = {"android.content.Context", "android.content.res.AssetManager", "java.io.IOException", "java.nio.ByteBuffer"}
    names.update(runtime.imports)
    if source.preprocess:
        names.add("android.graphics.Bitmap")
    if has_labels:
        names.add("java.util.List")
    return "\n".join(f"import {name};" for name in sorted(names))


def _slot(source: PackageSource, tensor: TensorMap) -> str:
    seen = source.shape(tensor)
    permutation = tensor.permutation if tensor.permutation != tuple(range(len(seen))) else None
    stored = [seen[axis] for axis in permutation] if permutation is not None else list(seen)
    shape = ", ".join("TensorSlot.FREE" if size is None else str(size) for size in stored)
    order = "null" if permutation is None else f"new int[] {{{', '.join(map(str, permutation))}}}"
    element = f"TensorSlot.Element.{JAVA_TYPES[tensor.artifact.dtype][2]}"
    scale = repr(float(tensor.scale or 0))
    name = quoted(tensor.artifact.name)
    return f"new TensorSlot({name}, {element}, new int[] {{{shape}}}, {order}, {scale}, {tensor.zero_point or 0})"


def _preprocess(preprocess: Preprocess) -> str:
    height, width = preprocess.resize
    color = "GRAY" if preprocess.color == "gray" else preprocess.color

    def numbers(values: Sequence[float]) -> str:
        return f"new double[] {{{', '.join(repr(float(value)) for value in values)}}}"

    def truth(value: bool) -> str:
        return "true" if value else "false"

    first = (
        f"{height}, {width}, Preprocess.Color.{color}, {truth(preprocess.apply_exif)}, Preprocess.Crop.{preprocess.crop.upper()}"
    )
    second = f"{preprocess.pad_value}, Preprocess.Filter.{preprocess.filter.upper()}, {truth(preprocess.antialias)}"
    third = f"{truth(preprocess.round_to_uint8)}, {numbers(preprocess.mean)}, {numbers(preprocess.std)}"
    last = truth(preprocess.layout == "NCHW")
    return f"    private static final Preprocess PREPROCESS = new Preprocess({first},\n            {second}, {third}, {last});\n"


def _described(source: PackageSource, tensor: TensorMap) -> str:
    shape = " x ".join("?" if size is None else str(size) for size in source.shape(tensor)) or "one number"
    unsigned = ", bytes from 0 to 255" if tensor.original.dtype == "uint8" else ""
    return f"{comment(tensor.original.name, 80)}: {tensor.original.dtype} {shape}{unsigned}"


def _output_fields(source: PackageSource, naming: _Naming) -> str:
    lines = []
    for tensor in source.outputs:
        name, shape = naming.outputs[tensor.original.name], naming.output_shapes.get(tensor.original.name)
        lines += [
            f"        /** {_described(source, tensor)}. */",
            f"        public final {JAVA_TYPES[tensor.original.dtype][0]} {name};",
        ]
        if shape is not None:
            lines += [f"        /** The shape of {{@link #{name}}}. */", f"        public final int[] {shape};"]
    return "\n".join(lines)


def _output_reads(source: PackageSource, naming: _Naming) -> str:
    lines = []
    for index, tensor in enumerate(source.outputs):
        name, shape = naming.outputs[tensor.original.name], naming.output_shapes.get(tensor.original.name)
        lines.append(f"            {name} = OUTPUTS[{index}].{JAVA_TYPES[tensor.original.dtype][1]}(results[{index}]);")
        if shape is not None:
            lines.append(f"            {shape} = OUTPUTS[{index}].shape(results[{index}]);")
    return "\n".join(lines)


def _input_docs(source: PackageSource, naming: _Naming) -> Iterable[str]:
    for tensor in source.inputs:
        name, shape = naming.inputs[tensor.original.name], naming.input_shapes.get(tensor.original.name)
        yield f"@param {name} {_described(source, tensor)}, row after row"
        if shape is not None:
            yield f"@param {shape} the shape of {name}"


def _parameters(source: PackageSource, naming: _Naming) -> Iterable[str]:
    for tensor in source.inputs:
        yield f"{JAVA_TYPES[tensor.original.dtype][0]} {naming.inputs[tensor.original.name]}"
        if tensor.original.name in naming.input_shapes:
            yield f"int[] {naming.input_shapes[tensor.original.name]}"


def _values(source: PackageSource, naming: _Naming) -> Iterable[str]:
    for index, tensor in enumerate(source.inputs):
        given = [naming.inputs[tensor.original.name], naming.input_shapes.get(tensor.original.name)]
        yield f"INPUTS[{index}].value({', '.join(filter(None, given))})"


def _golden_inputs(source: PackageSource, entries: Sequence[GoldenEntry]) -> Iterable[str]:
    for tensor, entry in zip(source.inputs, entries, strict=True):
        yield _golden_read(tensor, entry)
        if None in source.shape(tensor):
            yield f"new int[] {{{', '.join(map(str, entry.shape))}}}"


def _golden_read(tensor: TensorMap, entry: GoldenEntry) -> str:
    count = 1
    for size in entry.shape:
        count *= size
    return f"golden.{JAVA_TYPES[tensor.original.dtype][1]}({entry.offset_bytes}, {count})"


def _golden_outputs(source: PackageSource, naming: _Naming, entries: Sequence[GoldenEntry]) -> Iterable[str]:
    for tensor, entry in zip(source.outputs, entries, strict=True):
        name = naming.outputs[tensor.original.name]
        found, expected = f"outputs.{name}", _golden_read(tensor, entry)
        if tensor.original.dtype == "uint8":
            found, expected = f"Golden.unsigned({found})", f"Golden.unsigned({expected})"
        yield f"furthest = Math.max(furthest, Golden.difference({quoted(name)}, {found}, {expected}, TOLERANCE));"


def _indented(parts: Iterable[str], columns: int, separator: str, mark: str = "") -> str:
    """Each part on lines of its own, wrapped where it is too long for one."""
    lines = []
    for part in parts:
        wrapped = textwrap.wrap(part, _LINE - columns - len(mark), break_long_words=False, break_on_hyphens=False)
        indent = " " * columns + mark
        lines.append("\n".join(indent + ("        " if at and not mark else "") + line for at, line in enumerate(wrapped)))
    return separator.join(lines)
