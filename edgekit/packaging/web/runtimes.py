"""The two runtimes for browsers, and which of their files a page is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class WebRuntime:
    """A runtime that the package needs beside it.

    Attributes:
        title: what it is called.
        package: on npm; ``tested``: the version that edgekit's tests run.
        module: the module of the package that talks to it.
        imports: for a page without a bundler: {what modules import: file under ``demo/runtime/``}.
        files: {file under ``demo/runtime/``: file under ``node_modules/``}, all that one page is served.
        threaded: those of ``files`` that only a page with several threads is served.
        found: where the runtime looks for them unless it is told.
    """

    title: str
    package: str
    tested: str
    module: str
    imports: Mapping[str, str]
    files: Mapping[str, str]
    found: str
    threaded: tuple[str, ...] = ()


_LITERT_WASM = "@litertjs/core/wasm"

RUNTIMES: Mapping[str, WebRuntime] = {
    ".onnx": WebRuntime(
        title="ONNX Runtime Web",
        package="onnxruntime-web",
        tested="1.30.0",
        module="onnx",
        imports={"onnxruntime-web/wasm": "ort.wasm.min.mjs"},
        files={
            name: f"onnxruntime-web/dist/{name}"
            for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
        },
        found="beside its module, or where a bundler has put them",
    ),
    ".tflite": WebRuntime(
        title="LiteRT for the web",
        package="@litertjs/core",
        tested="2.5.3",
        module="litert",
        imports={"@litertjs/core": "litert.js", "@litertjs/wasm-utils": "wasm-utils.js"},
        files={
            "litert.js": "@litertjs/core/dist/index.js",
            "wasm-utils.js": "@litertjs/wasm-utils/dist/index.js",
            **{
                f"litert_wasm_{kind}.{suffix}": f"{_LITERT_WASM}/litert_wasm_{kind}.{suffix}"
                for kind in ("internal", "compat_internal", "threaded_internal")
                for suffix in ("js", "wasm")
            },
        },
        found="in `litert-wasm/` beside the page",
        threaded=("litert_wasm_threaded_internal.js", "litert_wasm_threaded_internal.wasm"),
    ),
}
