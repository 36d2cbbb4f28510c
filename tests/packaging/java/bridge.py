"""Stands in for a phone's runtime: reads tensors from a Java fake, runs the model here, and writes its outputs back.

    python bridge.py onnx|tflite MODEL THREADS [KEY=VALUE ...]

First it says how it was started (one line), for ``tflite`` also the signatures and the names of its tensors; then it answers one
request after the other until stdin ends.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any, BinaryIO

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np


def read(stream: BinaryIO, n: int) -> bytes:
    data = stream.read(n)
    if len(data) != n:
        sys.exit(0)
    return data


def read_request(stream: BinaryIO) -> list[tuple[str, str, list[int], bytes]]:
    (count,) = struct.unpack(">i", read(stream, 4))
    found = []
    for _ in range(count):
        name, dtype = read_text(stream), read_text(stream)
        (rank,) = struct.unpack(">i", read(stream, 4))
        shape = list(struct.unpack(f">{rank}i", read(stream, 4 * rank)))
        (n_bytes,) = struct.unpack(">i", read(stream, 4))
        found.append((name, dtype, shape, read(stream, n_bytes)))
    return found


def read_text(stream: BinaryIO) -> str:
    (length,) = struct.unpack(">H", read(stream, 2))
    return read(stream, length).decode()


def answer(stream: BinaryIO, outputs: dict[str, Any]) -> None:
    stream.write(struct.pack(">i", len(outputs)))
    for name, array in outputs.items():
        for text in (name, str(array.dtype)):
            stream.write(struct.pack(">H", len(text.encode())) + text.encode())
        data = np.ascontiguousarray(array).tobytes()
        stream.write(struct.pack(f">i{array.ndim}ii", array.ndim, *array.shape, len(data)) + data)
    stream.flush()


def onnx(path: str, threads: int, options: dict[str, str]) -> tuple[dict[str, Any], Any]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    for key, value in options.items():
        if key.startswith("session."):
            settings.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def run(request: list[tuple[str, str, list[int], bytes]]) -> dict[str, Any]:
        feeds = {name: np.frombuffer(data, dtype).reshape(shape) for name, dtype, shape, data in request}
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds), strict=True))

    return {}, run


def tflite(path: str, threads: int, options: dict[str, str]) -> tuple[dict[str, Any], Any]:
    from ai_edge_litert.interpreter import Interpreter

    del options
    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    signatures = interpreter.get_signature_list()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    facts = {
        "signatures": list(signatures),
        "inputs": [details["name"] for details in inputs],
        "outputs": [details["name"] for details in outputs],
    }

    def run(request: list[tuple[str, str, list[int], bytes]]) -> dict[str, Any]:
        given = {name: data for name, _, _, data in request}
        if len(signatures) == 1:  # the names of the request are those of the signature
            runner = interpreter.get_signature_runner(next(iter(signatures)))
            details = runner.get_input_details()
            feeds = {name: np.frombuffer(given[name], d["dtype"]).reshape(d["shape"]) for name, d in details.items()}
            return dict(runner(**feeds))
        for details in inputs:
            array = np.frombuffer(given[details["name"]], details["dtype"]).reshape(details["shape"])
            interpreter.set_tensor(details["index"], array)
        interpreter.invoke()
        return {details["name"]: interpreter.get_tensor(details["index"]) for details in outputs}

    return facts, run


def main() -> None:
    kind, path, threads, *rest = sys.argv[1:]
    options = dict(text.split("=", 1) for text in rest)
    facts, run = {"onnx": onnx, "tflite": tflite}[kind](path, int(threads), options)
    stdout = sys.stdout.buffer
    stdout.write(json.dumps(facts).encode() + b"\n")
    stdout.flush()
    while True:
        answer(stdout, run(read_request(sys.stdin.buffer)))


if __name__ == "__main__":
    main()
