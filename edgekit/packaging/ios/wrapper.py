"""The generated Swift: a class with typed inputs and outputs, and the contract as constants. No text of a model ends a literal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...types import JSON, TensorMap
from ..golden import GOLDEN, GoldenEntry, pack_golden
from ..names import SWIFT, camel, comment, identifiers, quoted
from ..source import PackageSource
from .runtimes import RUNTIMES, class_name, module_name

#: The type of the elements of a tensor, by dtype.
ELEMENTS = {
    "float32": "Float", "float64": "Double", "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64",
    "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
}  # fmt: skip
_LEVELS = {"none": ".none", "basic": ".basic", "extended": ".extended", "all": ".all"}


def tensor_names(source: PackageSource) -> dict[tuple[str, str], str]:
    """{(role, original name): the property in Swift}; inputs and outputs are structs of their own."""
    found: dict[tuple[str, str], str] = {}
    for role, tensors in (("input", source.inputs), ("output", source.outputs)):
        names = identifiers((tensor.original.name for tensor in tensors), SWIFT, camel)
        found.update({(role, name): identifier for name, identifier in names.items()})
    return found


def double(value: float) -> str:
    """A literal that is this number to the bit on every processor: decimal ones are rounded twice where Swift has 80-bit floats."""
    return float(value).hex()


def wrapper(source: PackageSource) -> str:
    """The source of the class."""
    from . import header

    names = tensor_names(source)
    lines = [
        header(source),
        "",
        "import Foundation",
        *(["import OnnxRuntimeBindings"] if source.kind == ".onnx" else []),
        "",
        f"/// {comment(source.winner.id)} of {comment(source.model_name)}. Use one instance from one thread at a time.",
        f"public final class {class_name(source)} {{",
        *_struct("Inputs", source, source.inputs, names, memberwise=True),
        "",
        *_struct("Outputs", source, source.outputs, names, memberwise=False),
        "",
        "    /// The classes, in the order of the first output; empty where none were given.",
        f"    public static let labels: [String] = [{', '.join(quoted(label, 'swift') for label in source.labels)}]",
        "    /// The sha256 of the model's file.",
        f"    public static let modelSHA256 = {quoted(source.entry_sha256, 'swift')}",
        "",
        "    private let session: Session",
        "",
        "    public init() throws {",
        f"        let path = try {class_name(source)}.resource({_path(source)}).path",
        f"        session = try Session(path: path, options: RunOptions({_options(source)}))",
        "    }",
        "",
        *_run(source, names),
        *(_run_picture(source, names) if source.preprocess else []),
        "",
        *_self_test(source, names),
        "",
        *_resource(source),
        "}",
        "",
        "/// How the tensors appear in the model's file.",
        "enum Contract {",
        *_layouts("inputs", source, source.inputs, names),
        *_layouts("outputs", source, source.outputs, names),
        *(_preprocess(source.preprocess.to_json()) if source.preprocess else []),
        "}",
        "",
    ]
    return "\n".join(lines)


def _struct(
    name: str, source: PackageSource, tensors: Sequence[TensorMap], names: Mapping[tuple[str, str], str], *, memberwise: bool
) -> list[str]:
    lines = [f"    public struct {name} {{"]
    parameters, assignments = [], []
    for tensor in tensors:
        identifier, element = names[tensor.role, tensor.original.name], ELEMENTS[tensor.original.dtype]
        sizes = ", ".join("any" if size is None else str(size) for size in source.shape(tensor))
        lines.append(f"        /// {comment(tensor.original.name)}: {tensor.original.dtype} [{sizes}]")
        lines.append(f"        public {'var' if memberwise else 'let'} {identifier}: Tensor<{element}>")
        parameters.append(f"{identifier}: Tensor<{element}>")
        assignments.append(f"            self.{identifier} = {identifier}")
    if memberwise:
        lines += ["", f"        public init({', '.join(parameters)}) {{", *assignments, "        }"]
    return [*lines, "    }"]


def _path(source: PackageSource) -> str:
    return quoted(RUNTIMES[source.kind].place(source, source.artifact.entry), "swift")


def _options(source: PackageSource) -> str:
    options = source.options
    if source.kind == ".tflite":
        return f"threads: {source.threads}, xnnpack: {_bool(options.get('xnnpack', True))}"
    level = _LEVELS.get(str(options.get("graph_optimization", "all")), ".all")
    spinning, folds = _bool(options.get("allow_spinning", True)), _bool(options.get("fold_weights", False))
    return f"threads: {source.threads}, level: {level}, allowSpinning: {spinning}, foldWeights: {folds}"


def _bool(value: JSON) -> str:
    return "true" if value is True else "false"


def _run(source: PackageSource, names: Mapping[tuple[str, str], str]) -> list[str]:
    lines = [
        "    /// - Throws: `ModelError`, or what the runtime throws.",
        "    public func run(_ inputs: Inputs) throws -> Outputs {",
        "        var stored: [String: StoredTensor] = [:]",
    ]
    for tensor in source.inputs:
        identifier = names["input", tensor.original.name]
        lines.append(
            f"        stored[{quoted(tensor.artifact.name, 'swift')}] = try Contract.inputs.{identifier}.store(inputs.{identifier})"
        )
    outputs = ", ".join(quoted(tensor.artifact.name, "swift") for tensor in source.outputs)
    lines.append(f"        let found = try session.run(stored, outputs: [{outputs}])")
    for tensor in source.outputs:
        lines += [
            f"        guard let {_local(names, tensor)} = found[{quoted(tensor.artifact.name, 'swift')}] else {{",
            f"            throw ModelError.runtime({quoted(f'the model gave no {tensor.artifact.name}', 'swift')})",
            "        }",
        ]
    arguments = [
        f"            {names['output', tensor.original.name]}: Contract.outputs.{names['output', tensor.original.name]}"
        f".restore({_local(names, tensor)}, as: {ELEMENTS[tensor.original.dtype]}.self)"
        for tensor in source.outputs
    ]
    return [*lines, "        return try Outputs(", ",\n".join(arguments) + ")", "    }"]


def _local(names: Mapping[tuple[str, str], str], tensor: TensorMap) -> str:
    """A name that no other local has: identifiers have no underscore in front."""
    return f"_{names[tensor.role, tensor.original.name]}"


def _run_picture(source: PackageSource, names: Mapping[tuple[str, str], str]) -> list[str]:
    [tensor] = source.inputs
    identifier, element = names["input", tensor.original.name], ELEMENTS[tensor.original.dtype]
    shape = ", ".join(str(size or 1) for size in _picture_shape(source))
    return [
        "",
        "    /// Prepares the picture in the arithmetic that the model was calibrated with, and runs it.",
        "    public func run(_ picture: Picture) throws -> Outputs {",
        "        let numbers = preprocessed(picture.pixels, orientation: picture.orientation, recorded: Contract.preprocess)",
        f"        let values = numbers.map {{ {element}($0) }}",
        f"        return try run(Inputs({identifier}: Tensor(values, shape: [{shape}])))",
        "    }",
    ]


def _picture_shape(source: PackageSource) -> tuple[int, ...]:
    recorded = source.preprocess
    assert recorded is not None
    channels = 1 if recorded.color == "gray" else 3
    height, width = recorded.resize
    return (1, channels, height, width) if recorded.layout == "NCHW" else (1, height, width, channels)


def _self_test(source: PackageSource, names: Mapping[tuple[str, str], str]) -> list[str]:
    entries = {(entry.role, entry.name): entry for entry in pack_golden(source)[1]}
    arguments = ", ".join(
        f"{names['input', tensor.original.name]}: {_golden(entries['input', tensor.original.name])}" for tensor in source.inputs
    )
    lines = [
        "    /// Runs the stored synthetic feed and compares with what the model made of it when it was built.",
        "    ///",
        "    /// - Throws: `ModelError.selfTest` where it differs by more than the tolerance that was recorded.",
        "    public func selfTest() throws {",
        f"        let golden = try Golden(contentsOf: {class_name(source)}.resource({quoted(GOLDEN, 'swift')}))",
        f"        let outputs = try run(Inputs({arguments}))",
    ]
    for tensor in source.outputs:
        identifier, stored = names["output", tensor.original.name], _golden(entries["output", tensor.original.name])
        name = quoted(tensor.original.name, "swift")
        lines.append(
            f"        try compare(outputs.{identifier}, with: {stored}, name: {name}, tolerance: {double(source.golden.tolerance)})"
        )
    return [*lines, "    }"]


def _golden(entry: GoldenEntry) -> str:
    shape = ", ".join(map(str, entry.shape))
    return f"golden.tensor({ELEMENTS[entry.dtype]}.self, offset: {entry.offset_bytes}, shape: [{shape}])"


def _resource(source: PackageSource) -> list[str]:
    """Where the files are: Swift packages have ``Bundle.module``, pods a bundle of their own beside the code."""
    if source.kind == ".onnx":
        place = ['        let url = Bundle.module.bundleURL.appendingPathComponent("Model").appendingPathComponent(path)']
        inside = ['        let nested = Bundle.module.resourceURL?.appendingPathComponent("Model").appendingPathComponent(path)']
    else:
        module = module_name(source)
        place = [
            f'        let beside = Bundle(for: {class_name(source)}.self).url(forResource: "{module}", withExtension: "bundle")'
        ]
        place.append("        let url = (beside ?? Bundle.main.bundleURL).appendingPathComponent(path)")
        inside = ["        let nested = beside.flatMap { Bundle(url: $0)?.resourceURL?.appendingPathComponent(path) }"]
    return [
        "    private static func resource(_ path: String) throws -> URL {",
        *place,
        *inside,
        "        for candidate in [nested ?? url, url] where FileManager.default.fileExists(atPath: candidate.path) {",
        "            return candidate",
        "        }",
        '        throw ModelError.runtime("the package\'s file \\(path) is not in the app")',
        "    }",
    ]


def _layouts(group: str, source: PackageSource, tensors: Sequence[TensorMap], names: Mapping[tuple[str, str], str]) -> list[str]:
    lines = [f"    enum {group} {{"]
    for tensor in tensors:
        shape = ", ".join("nil" if size is None else str(size) for size in source.shape(tensor))
        permutation = "nil" if tensor.permutation is None else f"[{', '.join(map(str, tensor.permutation))}]"
        scale = "nil" if tensor.scale is None else double(tensor.scale)
        lines += [
            f"        static let {names[tensor.role, tensor.original.name]} = TensorLayout(",
            f"            name: {quoted(tensor.artifact.name, 'swift')}, elementType: .{tensor.artifact.dtype}, shape: [{shape}],",
            f"            permutation: {permutation}, scale: {scale}, zeroPoint: {tensor.zero_point or 0})",
        ]
    return [*lines, "    }"]


def _preprocess(recorded: Mapping[str, JSON]) -> list[str]:
    height, width = recorded["resize"]
    mean, std = (", ".join(double(number) for number in recorded[key]) for key in ("mean", "std"))
    return [
        "    static let preprocess = Preprocess(",
        f"        height: {height}, width: {width}, color: .{str(recorded['color']).lower()},",
        f"        applyExif: {_bool(recorded['apply_exif'])},",
        f"        crop: .{recorded['crop']}, padValue: {recorded['pad_value']}, filter: .{recorded['filter']},",
        f"        antialias: {_bool(recorded['antialias'])}, roundToUInt8: {_bool(recorded['round_to_uint8'])},",
        f"        mean: [{mean}], std: [{std}],",
        f"        channelsFirst: {_bool(recorded['layout'] == 'NCHW')}, keepLevels: {_bool(recorded['dtype'] == 'uint8')})",
    ]
