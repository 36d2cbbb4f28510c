from __future__ import annotations

import io

from rich.console import Console

from edgekit.inspect.types import Content, Finding, Inspection, Layer
from edgekit.report.inspection import count, print_inspection
from edgekit.types import TensorSpec

CONTENT = Content(
    operators={"Conv": 3, "Relu": 2},
    n_nodes=5,
    parameters=1_234_567,
    weight_bytes={"float32": 4_938_268},
    macs=None,
    macs_reason="a size stays free",
    zip_bytes=4_000_000,
    zip_sampled=1.0,
    layers=(Layer("conv[red]0", "Conv", None, 1000), Layer("conv1", "Conv", None, 9000)),
)
INSPECTION = Inspection(
    fingerprint="ab" * 32,
    format="onnx",
    opset=17,
    size_bytes=5_000_000,
    inputs=(TensorSpec("x", "float32", ("batch", 3, 224, 224)),),
    outputs=(TensorSpec("y", "float32", (1, 10)),),
    notes=("2 weights were listed as inputs",),
    content=CONTENT,
    findings=(Finding("unstructured-sparsity", "80 % zeros", {}, {"onnx": "no speed", "any": "a smaller download"}),),
    cannot_tell=("distillation",),
)


def test_everything_found_is_printed_and_nothing_is_claimed() -> None:
    stream = io.StringIO()
    print_inspection(INSPECTION, Console(file=stream, width=80, markup=False, emoji=False, highlight=False))
    text = stream.getvalue()
    for line in (
        "onnx opset 17, 5.00 MB, 4.00 MB zipped",
        "input x: float32 [batch, 3, 224, 224]",
        "not known (a size stays free) multiply-accumulates",
        "operators: Conv 3, Relu 2",
        "unstructured-sparsity: 80 % zeros",
        "worth on onnx: no speed",
        "worth: a smaller download",
        "cannot be told: distillation",
        "note: 2 weights were listed as inputs",
    ):
        assert line in " ".join(text.split()), line
    rows = [line for line in text.splitlines() if line.startswith("conv")]
    assert [row.split()[0] for row in rows] == ["conv1", "conv[red]0"]  # without MACs, the most weights first
    assert max(len(line) for line in text.splitlines()) <= 80


def test_large_counts_have_a_prefix() -> None:
    assert [count(n) for n in (0, 999, 1500, 2_500_000, 3_000_000_000)] == ["0", "999", "1.5 k", "2.5 M", "3 G"]
    assert [count(n) for n in (999_700, 1_234_000_000_000)] == ["1000 k", "1230 G"]
