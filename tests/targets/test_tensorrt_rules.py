"""What our rules say to hand-made models, beside what the parser of tensorrt-rtx does with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from edgekit_tensorrt import parser_evidence
from edgekit_tensorrt.limits import Limits
from edgekit_tensorrt.lint import errors, lint
from edgekit_tensorrt.parser_evidence import Question
from support.requirements import missing
from support.tensorrt_models import CASES, Case
from support.tensorrt_sketch import Sketch

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def capability(case: Case) -> tuple[int, int]:
    major, minor = case.capability.split(".")
    return int(major), int(minor)


def findings(case: Case, **known):
    return lint(case.build(), Limits(24, 11, known.get("release"), capability(case)))


@every_case
def test_our_verdict(case: Case) -> None:
    found = findings(case)
    wrong = {each.rule for each in errors(found)}
    if case.kind == "legal":
        assert found == []
    elif case.kind == "advice":
        assert not wrong
        assert case.rule in {each.rule for each in found}
    else:
        assert case.rule in wrong


@every_case
def test_a_finding_names_a_node_and_a_way_out(case: Case) -> None:
    model = case.build()
    outputs = {name for node in model.graph.node for name in node.output}
    for each in findings(case):
        assert each.node in outputs or (not each.node and each.rule in ("opset", "type"))
        assert each.what
        assert each.fix
        assert len(str(each)) < 200


def test_there_are_enough_of_each_kind() -> None:
    kinds = [case.kind for case in CASES.values()]
    assert {
        kind: kinds.count(kind) >= least for kind, least in (("legal", 14), ("both-refuse", 14), ("ours-alone", 12))
    } == dict.fromkeys(("legal", "both-refuse", "ours-alone"), True)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, parser_evidence.Answer]:
    """What tensorrt-rtx says to each model, all asked in one process (and one more behind a model that ends it)."""
    if parser_evidence.version() is None:
        missing("tensorrt-rtx is not installed: pip install -e '.[rtx]'")
    folder = tmp_path_factory.mktemp("models")
    questions = []
    for index, case in enumerate(CASES.values()):
        path = folder / f"{index}.onnx"
        onnx.save(case.build(), path)
        questions.append(Question(path, capability(case)))
    return dict(zip(CASES, parser_evidence.ask(questions), strict=True))


@pytest.mark.slow
@every_case
def test_the_parsers_behaviour(case: Case, answers: dict[str, parser_evidence.Answer]) -> None:
    """Taken, or not; one model ends its process, which counts as not taken."""
    answer = answers[case.name]
    assert bool(answer.accepted) == (case.kind != "both-refuse"), answer.errors
    if case.kind == "both-refuse":
        assert answer.errors


# ---------------------------------------------------------------- what depends on the device
def rules(model: onnx.ModelProto, **known) -> set[str]:
    limits = {"max_opset": 24, "max_ir": 11, "release": None, "capability": None, **known}
    return {each.rule for each in errors(lint(model, Limits(**limits)))}


def test_an_operator_newer_than_the_release_is_found() -> None:
    g = Sketch()
    model = g.model(g.op("LayerNormalization", g.input(4, 8), g.weight(8), axis=-1))
    assert rules(model, release=(8, 5)) == {"operator"}
    assert rules(model, release=(8, 6)) == set()


def test_an_opset_beyond_the_release_is_found() -> None:
    model = CASES["opset 21, output_dtype"].build()
    assert "opset" in rules(model, release=(10, 0), max_opset=20)
    assert rules(model, release=(10, 15)) == set()


def test_a_zero_point_that_is_left_out_matters_before_10() -> None:
    g = Sketch()
    w = g.dq(g.const(g.random.integers(-127, 128, (16, 16, 3, 3)), "int8"), zero=None)
    model = g.model(g.op("Conv", g.pair(g.input(1, 16, 8, 8)), w))
    assert rules(model, release=(8, 6)) == {"zero-point-missing"}
    assert rules(model, release=(10, 3)) == set()


def test_a_gpu_without_int8_is_found() -> None:
    assert rules(CASES["conv"].build(), capability=(5, 3)) == {"int8-hardware"}


def test_nothing_is_said_of_a_gpu_that_is_not_known() -> None:
    assert rules(CASES["fp8 below 8.9"].build()) == set()
    assert rules(CASES["bfloat16 below 8.0"].build()) == set()


def test_operators_in_branches_are_looked_at() -> None:
    from onnx import TensorProto, helper

    def body(operator: str) -> onnx.GraphProto:
        value = helper.make_tensor_value_info(operator, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(operator, ["in_1"], [operator])], operator, [], [value])

    g = Sketch()
    x = g.input(4, 4)
    model = g.model(g.op("If", g.const(True, bool), then_branch=body("Det"), else_branch=body("ReduceSum")))
    assert x == "in_1"
    assert rules(model) == {"operator"}


# ---------------------------------------------------------------- the process that is asked
def test_without_the_package_the_evidence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parser_evidence, "version", lambda: None)
    found = parser_evidence.evidence(Question(tmp_path / "none.onnx"))
    assert found["accepted"] is None
    assert "tensorrt-rtx is not installed" in found["summary"]


def fake_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    path = tmp_path / "worker.py"
    path.write_text("import json, os, sys, time\njob = json.load(sys.stdin)\nN = len(job['models'])\n" + code)
    monkeypatch.setattr(parser_evidence, "_WORKER", path)


ONE = 'print(json.dumps({"accepted": True, "stage": "build", "errors": [], "warnings": []}), flush=True)\n'


def test_a_process_that_ends_costs_one_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_worker(tmp_path, monkeypatch, f"if N == 3:\n    {ONE}    os.kill(os.getpid(), 11)\nfor _ in range(N): {ONE}")
    first, second, third = parser_evidence.ask([Question(tmp_path / "m.onnx")] * 3)
    assert (first.accepted, second.accepted, third.accepted) == (True, None, True)
    assert "signal 11" in second.errors[0]


def test_one_that_never_answers_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_worker(tmp_path, monkeypatch, ONE + "time.sleep(60)\n")
    first, second = parser_evidence.ask([Question(tmp_path / "m.onnx")] * 2, timeout_s=1.0)
    assert first.accepted is True
    assert second.accepted is None
    assert "1 s" in second.errors[0]


def test_an_answer_that_is_cut_off_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_worker(tmp_path, monkeypatch, "sys.stdout.write('{\"accepted\": tr')\n")
    (answer,) = parser_evidence.ask([Question(tmp_path / "m.onnx")])
    assert answer.accepted is None


def test_the_nearest_capability() -> None:
    built_for = {(5, 3): "SM75", (7, 2): "SM75", (8, 7): "SM86", (11, 0): "SM120", (12, 0): "SM120", (12, 1): "SM120", None: "SM86"}
    assert {known: parser_evidence.nearest(known) for known in built_for} == built_for


def test_memory_is_bounded() -> None:
    code = "import rtx_worker; rtx_worker._bound_memory(256 << 20); print(len(bytearray(1 << 20))); bytearray(1 << 30)"
    folder = Path(parser_evidence.__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(1 << 20)
    assert "MemoryError" in done.stderr
