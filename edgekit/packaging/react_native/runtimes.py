"""The two runtimes for React Native."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NativeRuntime:
    """A runtime that the app installs beside the package.

    Attributes:
        package: on npm; ``checked``: the version whose types the package was compiled against.
        module: the module of the package that talks to it.
        extension: of the model's file, which Metro has to be told of.
        also: packages that the runtime itself asks for.
    """

    package: str
    checked: str
    module: str
    extension: str
    also: Mapping[str, str] = field(default_factory=dict)


RUNTIMES: Mapping[str, NativeRuntime] = {
    ".onnx": NativeRuntime("onnxruntime-react-native", "1.24.3", "native-onnx", "onnx"),
    ".tflite": NativeRuntime(
        "react-native-fast-tflite", "3.0.1", "native-tflite", "tflite", {"react-native-nitro-modules": ">=0.37.1"}
    ),
}
