"""Frozen values survive JSON, and what is not one of them is refused by its path."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import DataError, IntegrityError
from edgekit.schemes import SCHEME_CLASSES, AsIs, Float32, Int8Dynamic, Int8Static, Vendor, WeightOnly
from edgekit.types import Artifact, Candidate, CandidateReport, Latency, Ratio, TensorMap, TensorSpec
from edgekit.values import canonical, from_json, sha256_json, to_json

schemes = st.one_of(
    st.builds(AsIs),
    st.builds(Float32),
    st.builds(Int8Dynamic, weight_type=st.sampled_from(["per-operator", "int8", "uint8"])),
    st.builds(Int8Static, range_method=st.sampled_from(["minmax", "mse"])),
    st.builds(WeightOnly, bits=st.sampled_from([4, 8]), block_size=st.integers(0, 256)),
    st.builds(Vendor, slug=st.text(min_size=1, max_size=8)),
)
scalars = st.one_of(st.booleans(), st.integers(-(2**31), 2**31), st.text(max_size=8))
candidates = st.builds(
    Candidate,
    target=st.text(min_size=1, max_size=8),
    scheme=schemes,
    keep_float=st.frozensets(st.text(max_size=5), max_size=4),
    build_options=st.dictionaries(st.text(max_size=5), scalars, max_size=3),
    run_options=st.dictionaries(st.text(max_size=5), scalars, max_size=3),
)


@given(candidates)
def test_a_candidate_survives_json(candidate: Candidate) -> None:
    document = json.loads(json.dumps(to_json(candidate)))
    assert from_json(Candidate, document) == candidate


@given(candidates)
def test_the_id_is_the_same_for_equal_candidates_and_stable_in_order(candidate: Candidate) -> None:
    again = from_json(Candidate, to_json(candidate))
    assert again.id == candidate.id
    assert candidate.id.startswith(f"{candidate.target}/{candidate.scheme.slug}")


def test_the_id_is_plain_for_defaults_and_hashed_otherwise() -> None:
    assert Candidate("onnx", Int8Static()).id == "onnx/int8"
    assert Candidate("onnx", WeightOnly(bits=4)).id == "onnx/w4"
    special = Candidate("onnx", Int8Static(), keep_float=frozenset({"conv1"}))
    assert special.id.startswith("onnx/int8~")
    assert len(special.id) == len("onnx/int8~") + 8
    assert special.id != Candidate("onnx", Int8Static(), keep_float=frozenset({"conv2"})).id


def test_every_scheme_class_has_a_tag() -> None:
    for cls in SCHEME_CLASSES:
        scheme = cls("slug") if cls is Vendor else cls()
        assert from_json(Candidate, to_json(Candidate("t", scheme))).scheme == scheme


def test_nested_values_survive_json() -> None:
    spec = TensorSpec("x", "float32", (1, "n", 3))
    artifact = Artifact({"model.onnx": "0" * 64}, "model.onnx", (TensorMap("input", spec, spec, (0, 2, 1)),), provenance={"a": [1]})
    assert from_json(Artifact, to_json(artifact)) == artifact
    row = CandidateReport(
        "onnx/float32", "onnx", "float32", "measured", True, "", Candidate("onnx", Float32()),
        latency_s=Latency(1.0, 1.0, 1.0, 1.0, 1.0, 3, (0.9, 1.1)), speedup_vs_reference=Ratio(1.0, (1.0, 1.0)),
    )  # fmt: skip
    assert from_json(CandidateReport, json.loads(json.dumps(to_json(row)))) == row


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ({"target": 1, "scheme": {"kind": "float32"}}, "target"),
        ({"target": "t"}, "scheme"),
        ({"target": "t", "scheme": {"kind": "float32"}, "colour": "red"}, "colour"),
        ({"target": "t", "scheme": {"kind": "no such"}}, "scheme"),
        ([], "document"),
        (None, "document"),
    ],
)
def test_a_wrong_document_is_refused_with_its_path(document: object, part: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        from_json(Candidate, document)
    assert part in str(caught.value)


def test_the_error_class_can_be_chosen() -> None:
    with pytest.raises(DataError, match="labels"):
        from_json(Candidate, {}, error=DataError, name="labels")


@given(st.dictionaries(st.text(max_size=4), st.integers(), max_size=5))
def test_canonical_json_does_not_depend_on_order(document: dict[str, int]) -> None:
    backwards = dict(reversed(list(document.items())))
    assert canonical(document) == canonical(backwards)
    assert sha256_json(document) == sha256_json(backwards)


def test_canonical_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})
