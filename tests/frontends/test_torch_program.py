"""Which texts of an exported program are harmless, and which PyTorch would run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgekit.frontends.torch_program import code_in_payloads, code_in_program, read_json, without_remarks

LEAF = {"type": None, "context": None, "children_spec": []}


def _tree(**changes: Any) -> str:
    return json.dumps([1, {"type": "builtins.tuple", "context": "null", "children_spec": [LEAF], **changes}])


@pytest.mark.parametrize(
    "text",
    [
        "s0",
        "2*s40 + 1",
        "Symbol('s40', positive=True, integer=True)",
        "Add(Mul(Integer(2), Symbol('s77', integer=True)), Integer(-1))",
        "FloorDiv(s0 + 1, 2)",
        "Max(1, u0)",
        "Eq(s0, 4) & (s1 > 2)",
        "Float('2.0', precision=53)",
    ],
)
def test_sizes_are_arithmetic(text: str) -> None:
    assert code_in_program({"expr_str": text}) == ""


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "eval(chr(49))",
        "exec",
        "open",
        "s0.__class__",
        "s0.func(s1)",
        "Symbol('x').__init__",
        "Symbol(eval)",
        "Add('__import__(1)')",  # sympy parses texts again
        "Symbol('a b')",
        "(lambda: 1)()",
        "[s0 for s0 in s1]",
        "s0 if s1 else s2",
        "s0[0]",
        "f'{s0}'",
        "s0; s1",
        "s0 :=1",
        "s0" + "+s0" * 2000,
        "(" * 500 + "s0" + ")" * 500,
        "",
    ],
)
def test_sizes_that_are_more_than_arithmetic_are_refused(text: str) -> None:
    assert "harmless" in code_in_program({"sizes": [{"as_expr": {"expr_str": text}}]})


@pytest.mark.parametrize(
    "name",
    [
        "torch.ops.aten.conv2d.default",
        "torch.ops.prims.convert_element_type.default",
        "torch.ops.higher_order.cond",
        "_operator.getitem",
        "torch.sym_max",
        "math.ceil",
    ],
)
def test_operators_of_pytorch_pass(name: str) -> None:
    assert code_in_program({"nodes": [{"target": name}]}) == ""


@pytest.mark.parametrize(
    "name",
    [
        "torch.os.system",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save.default",
        "torch.ops.mine.roi.default",
        "torch.ops.higher_order.triton_kernel_wrapper_functional",
        "torch.hub.load",
        "_operator.methodcaller",
        "_operator.attrgetter",
        "math.__loader__.load_module",
        "#mine:op",
        "builtins.eval",
    ],
)
def test_other_operators_are_refused(name: str) -> None:
    assert "operator" in code_in_program({"nodes": [{"target": name}]})


def test_trees_are_tuples_lists_and_dictionaries() -> None:
    assert code_in_program({"in_spec": _tree()}) == ""
    assert code_in_program({"out_spec": _tree(type="builtins.dict", context='["logits", "boxes"]')}) == ""
    for odd in (
        _tree(type="mine.Output"),
        _tree(context='{"__enum__": true, "fqn": "antigravity:A", "name": "B"}'),  # imports what it names
        _tree(context='["a b"]'),
        _tree(children_spec=[{**LEAF, "type": "os"}]),
        _tree(children_spec=None),
        "[2, {}]",
        "no JSON",
        "[" * 100_000,
    ):
        assert "tree" in code_in_program({"in_spec": odd})


@pytest.mark.parametrize(
    "part",
    [
        {"name": "x):\n  import os\ndef f("},
        {"name": "x=eval('1')"},
        {"x y": 1},
        {"as_string": "it's"},
        {"as_string": "back\\slash"},
        {"as_custom_obj": {"name": "o", "class_fqn": "mine.Class"}},
        {"custom_obj": {"arg": {"name": "o"}}},
        {"custom_obj_values": {"o": {}}},
        {"as_operator": "torch.os.system"},
    ],
)
def test_names_that_could_be_source_are_refused(part: dict[str, Any]) -> None:
    assert code_in_program({"graph": [part]})


def test_remarks_are_left_out_and_the_rest_stays() -> None:
    program = {
        "guards_code": ["__import__('os')"],
        "graph_module": {"nodes": [{"name": "relu", "metadata": {"stack_trace": "/home/me/net.py"}}], "metadata": {"custom": "{}"}},
        "as_string": "bhqd,bhkd->bhqk",
    }  # fmt: skip
    kept = without_remarks(program)
    assert kept == {
        "guards_code": [],
        "graph_module": {"nodes": [{"name": "relu", "metadata": {}}], "metadata": {}},
        "as_string": "bhqd,bhkd->bhqk",
    }
    assert code_in_program(kept) == ""
    assert program["guards_code"]  # the given one is untouched


def test_weights_are_raw_bytes() -> None:
    raw = {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": {"sizes": [{"as_int": 4}]}}
    assert code_in_payloads({"config": {"layer.0.weight": raw}}, "weight_") == ""
    for odd in (
        {**raw, "use_pickle": True},
        {**raw, "path_name": "opaque_obj_0"},
        {**raw, "path_name": "../w"},
        {"use_pickle": False},
        3,
    ):
        assert "pickled" in code_in_payloads({"config": {"layer.0.weight": odd}}, "weight_")
    assert code_in_payloads([], "weight_")


@pytest.mark.parametrize("data", [b"[" * 1_000_000, b'{"a":' * 600 + b"1" + b"}" * 600], ids=["without end", "to its end"])
def test_json_that_is_nested_too_deeply_is_an_error_that_is_caught(data: bytes) -> None:
    with pytest.raises(ValueError, match="nested"):
        read_json(data)


def test_json_as_deep_as_it_may_be_is_examined() -> None:
    document = read_json(b'{"a":' * 99 + b"[" * 100 + b"1" + b"]" * 100 + b"}" * 99)
    assert code_in_program(without_remarks(document)) == ""
