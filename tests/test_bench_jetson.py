"""The TensorRT benchmark: what a Q/DQ graph covers, what is promised of it, and the document that is made of the results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.bench import TAKEN, jetson, jetson_graphs, jetson_lines, jetson_records, jetson_tables, stored

from edgekit.errors import DataError, UsageError

Precision, Int8, Beside, ModelResult = (
    jetson_records.Precision, jetson_records.Int8, jetson_records.Beside, jetson_records.ModelResult,
)  # fmt: skip


# ---------------------------------------------------------------- what a graph covers
class Graph:
    """Nodes and initializers, one line each."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, name: str, *shape: int) -> str:
        self.constants.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
        return name

    def op(self, kind: str, output: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def pair(self, name: str) -> str:
        quantized = self.op("QuantizeLinear", f"{name}_q", name, "scale")
        return self.op("DequantizeLinear", f"{name}_dq", quantized, "scale")

    def model(self, output: str) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 4, 4])
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        return helper.make_model(helper.make_graph(self.nodes, "g", [x], [y], [*self.constants]))


def residual(*, shortcut: bool = True, main: bool = False, second: bool = True) -> onnx.ModelProto:
    """Two convolutions, the second optionally float, and an addition of the first one's output to the second's."""
    g = Graph()
    g.const("scale")
    w1, w2 = g.const("w1", 8, 8, 1, 1), g.const("w2", 8, 8, 1, 1)
    first = g.op("Conv", "first", g.pair("x"), g.pair(w1))
    last = g.op("Conv", "last", *((g.pair(first), g.pair(w2)) if second else (first, w2)))
    left = g.op("DequantizeLinear", "side_dq", g.op("QuantizeLinear", "side_q", first, "scale"), "scale") if shortcut else first
    total = g.op("Add", "sum", left, g.pair(last) if main else last)
    return g.model(g.op("Add", "shifted", total, g.const("bias", 8, 1, 1)))


def test_both_inputs_of_a_convolution_must_be_behind_a_pair() -> None:
    assert jetson_graphs.coverage(residual()).convolutions == {"first", "last"}
    assert jetson_graphs.coverage(residual(second=False)).convolutions == {"first"}


@pytest.mark.parametrize(
    ("shortcut", "main", "read"), [(True, False, {"first"}), (False, False, set()), (True, True, {"first", "last"})]
)
def test_an_addition_is_told_by_the_tensors_that_it_reads_quantized(shortcut: bool, main: bool, read: set[str]) -> None:
    found = jetson_graphs.coverage(residual(shortcut=shortcut, main=main)).additions
    assert found == {"sum": read}, "the other addition has a constant input: it is a bias"


def test_weights_that_are_stored_quantized_and_moved_are_covered() -> None:
    g = Graph()
    g.const("scale")
    g.constants.append(numpy_helper.from_array(np.ones((16, 8), np.int8), "stored"))
    weight = g.op("Transpose", "turned", g.op("DequantizeLinear", "w", "stored", "scale"), perm=[1, 0])
    g.op("MatMul", "product", g.op("Reshape", "flat", g.pair("x"), g.const("shape", 2)), weight)
    assert jetson_graphs.coverage(g.model("product")).products == {"product"}


# ---------------------------------------------------------------- promises
def precision(scheme: str, **fields: Any) -> Any:
    known = {"sqnr_db": 40.0, "agreement": 0.99, "metric": 0.97, "parser": True} | fields
    return Precision(scheme, f"tensorrt/{scheme}", **({"holds": True, "reason": ""} | known))


def compared(ours: float = 30.0, theirs: tuple[float | None, ...] = (29.0, 25.0), **fields: Any) -> Any:
    made = tuple(
        Int8(f"modelopt {name}", db, 12, 1, "" if db is not None else "it raised")
        for name, db in zip(("entropy", "max"), theirs, strict=True)
    )
    return Beside(24, Int8("edgekit", ours, 12, 1), Int8("edgekit, nothing refined", ours - 1, 12, 1), made, additions=3, **fields)


def result(**fields: Any) -> Any:
    defaults: dict[str, Any] = {
        "metric": "accuracy", "metric_float": 0.975, "carried": ("tensorrt/float32", "tensorrt/int8"), "has_program": True,
        "precisions": tuple(precision(scheme) for scheme in ("int8", "float16", "int8+fp16")), "beside": compared(),
    }  # fmt: skip
    return ModelResult("digits", TAKEN, "jetson-orin-nano", **({"wall_s": 60.0} | defaults | fields))


def verdicts(found: Any, word: str) -> list[str]:
    return [line.verdict for line in jetson_lines.of_model(found) if word in line.promise]


def numbers(found: Any) -> str:
    return " ".join(line.numbers for line in jetson_lines.of_model(found))


def test_a_result_that_keeps_everything() -> None:
    assert {line.verdict for line in jetson_lines.of_model(result())} == {"met"}


@pytest.mark.parametrize(
    ("changed", "word", "why"),
    [
        ({"holds": False, "reason": "accuracy falls"}, "holds the gates", "accuracy falls"),
        ({"rules": ("Conv first: no zero point [zero-point]",)}, "linter", "no zero point"),
        ({"parser": False, "parser_said": "non-zero zero point"}, "builds it", "non-zero zero point"),
        ({"parser": None, "parser_said": "its process ended (signal 9)"}, "builds it", "signal 9"),
    ],
)
def test_what_does_not_hold_is_missed_with_its_reason(changed: dict[str, Any], word: str, why: str) -> None:
    found = result(precisions=(precision("int8", **changed),))
    assert verdicts(found, word) == ["missed"]
    assert why in numbers(found)


def test_without_the_parser_nothing_is_said_of_it() -> None:
    found = result(precisions=(precision("int8", parser=None, parser_said="tensorrt-rtx is not installed"),))
    assert verdicts(found, "builds it") == ["skipped"]


@pytest.mark.parametrize(
    ("changed", "verdict"), [({"has_program": False}, "missed"), ({"carried": ("tensorrt/float32",)}, "missed")]
)
def test_a_bundle_that_leaves_nothing_open_is_a_miss(changed: dict[str, Any], verdict: str) -> None:
    assert verdicts(result(**changed), "bundle") == [verdict]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [(30.0, (29.0, 25.0), "met"), (28.96, (29.0, 25.0), "met"), (28.9, (25.0, 29.0), "missed"), (20.0, (None, 19.0), "met")],
)
def test_closeness_is_held_against_the_better_of_theirs(ours: float, theirs: tuple[float | None, ...], verdict: str) -> None:
    assert verdicts(result(beside=compared(ours, theirs)), "as close to float") == [verdict]


def test_another_coverage_and_another_addition_are_misses_and_named() -> None:
    found = result(beside=compared(only_theirs=("narrow",), differing=("sum",)))
    assert verdicts(found, "same convolutions") == ["missed"]
    assert verdicts(found, "additions") == ["missed"]
    assert "only modelopt: narrow" in numbers(found)
    assert "2 of 3 alike; not sum" in numbers(found)


def test_a_peer_that_failed_is_skipped_with_its_words() -> None:
    assert verdicts(result(beside=compared(theirs=(None, None))), "beside modelopt") == ["skipped"]
    assert "it raised" in numbers(result(beside=compared(theirs=(None, None))))
    assert verdicts(result(beside=None, beside_reason="left out"), "beside modelopt") == ["skipped"]


def test_a_model_that_could_not_be_built_is_one_miss() -> None:
    assert [line.verdict for line in jetson_lines.of_model(result(fails="no operator for it"))] == ["missed"]


# ---------------------------------------------------------------- documents
def test_the_document_tells_every_number_and_every_miss() -> None:
    bad = replace(result(), precisions=(precision("int8", holds=False, reason="agreement 0.8 | is below"),))
    text = "\n".join(jetson_tables.document(jetson_records.Document((bad, replace(result(), name="vit", fails="too | large")))))
    assert "**missed**" in text
    assert "agreement 0.8 \\| is below" in text
    assert "| edgekit | 30.00 dB | 12 | 1 |" in text
    assert "| edgekit, nothing refined | 29.00 dB | 12 | 1 |" in text
    assert "Left out: too" in text
    assert "nothing here was run on a Jetson" in " ".join(text.split())


def test_results_are_read_back_and_a_later_one_takes_the_place(tmp_path: Path) -> None:
    path = jetson_records.data_path(tmp_path / "results.md")
    assert path.name == "results.jetson.json"
    assert jetson_records.read(path).models == ()
    order = ("vit", "digits")
    document = jetson_records.merged(jetson_records.merged(jetson_records.Document(), result(), order), result(wall_s=1.0), order)
    document = jetson_records.merged(document, replace(result(), name="vit"), order)
    stored.write(path, document)
    assert jetson_records.read(path) == document
    assert [(each.name, each.wall_s) for each in document.models] == [("vit", 60.0), ("digits", 1.0)]
    path.write_text(path.read_text().replace("jetson/1", "jetson/0"))
    with pytest.raises(DataError, match="another version"):
        jetson_records.read(path)


def test_models_are_chosen_by_name() -> None:
    assert jetson.chosen("vit, digits") == ["vit", "digits"]
    with pytest.raises(UsageError, match="nosuch"):
        jetson.chosen("digits,nosuch")
    assert set(jetson.NAMES) == {"digits", "mobilenetv2", "resnet50", "vit", "minilm", "recogniser", "detector"}
