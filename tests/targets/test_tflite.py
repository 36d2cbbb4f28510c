from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest
from edgekit_tflite import vendor
from support.requirements import missing
from support.tflite import shared_home

from edgekit.errors import MissingExtraError
from edgekit.testing.conformance import TargetConformance
from edgekit.testing.harness import BuiltCandidate, Workbench
from edgekit.testing.models import CASES, ModelCase
from edgekit.types import Array, Candidate, Feed

try:
    vendor.litert("interpreter")
    vendor.quantizer("quantizer")
except MissingExtraError as problem:
    missing(str(problem))

NO_BRANCHES = "a .tflite is one fixed graph: a model with If is refused before any work"
NO_RECURRENCE = "what onnx2tf makes of a bidirectional LSTM, LiteRT does not load; the build says so"
NO_SCALARS = "onnx2tf gives a scalar output an axis; the build says so"
#: Tests that build every candidate of a model.
BUILDING = (
    "test_artifact_is_whole_and_named_by_its_bytes",
    "test_io_keeps_the_original_names_dtypes_and_shapes",
    "test_full_precision_equals_the_reference",
    "test_every_candidate_gives_outputs_of_the_right_form",
    "test_input_model_is_not_touched",
)


class OneLength(Workbench):
    """A ``.tflite`` has fixed shapes: the one case with texts of several lengths is built for the shortest, and given that."""

    def build(self, case: ModelCase, candidate: Candidate, run: str = "first") -> BuiltCandidate:
        return super().build(dataclasses.replace(case, feed=lambda batch, seed: cut(case.feed(batch, seed))), candidate, run)

    def run(self, built: BuiltCandidate, feed: Feed) -> dict[str, Array]:
        return super().run(built, cut(feed))

    def reference(self, case: ModelCase, feed: Feed) -> dict[str, Array]:
        return super().reference(case, cut(feed))


def cut(feed: Feed) -> dict[str, Array]:
    return {name: array[:, :5] if name == "tokens" else array for name, array in feed.items()}


class TestTFLite(TargetConformance):
    entry_point = "edgekit_tflite.target:TARGET"
    workbench_type = OneLength
    vendor_modules = (
        "ai_edge_litert",
        "ai_edge_quantizer",
        "litert_quantizer",
        "tflite_runtime",
        "tensorflow",
        "torch",
        "onnx",
        "numpy",
    )
    gaps: ClassVar = {
        "test_shared_weights_stay_shared": "a matrix that is read in both directions is stored once a direction, float too; "
        "test_a_shared_matrix_is_stored_once_a_direction holds it to that",
        "test_full_precision_equals_the_reference[conditional]": NO_BRANCHES,
        "test_candidates_have_one_full_precision_baseline[conditional]": NO_BRANCHES,
        **{f"{name}[lstm]": NO_RECURRENCE for name in (*BUILDING, "test_keep_float_of_everything_is_float")},
        **{f"{name}[static_shape]": NO_SCALARS for name in BUILDING},
    }

    @pytest.fixture(autouse=True)
    def _own_state(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGEKIT_HOME", str(shared_home()))

    def test_a_shared_matrix_is_stored_once_a_direction(self, workbench: Workbench) -> None:
        for built in workbench.build_all(CASES["shared"]):
            assert built.artifact.size_bytes(built.folder) < 2 * 64 * 64 * 4 * 1.1, built.candidate.id
