"""The JSON Schemas under docs/ say exactly what the values write."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.bundles import small_bundle
from support.reports import full_report, request
from support.schemas import NAMES, SCHEMAS, validator

from edgekit import errors
from edgekit.bundle import MANIFEST
from edgekit.errors import EdgekitError
from edgekit.schemes import AsIs, BFloat16, Float16, Float32, Int8Dynamic, Int8Static, Vendor, WeightOnly
from edgekit.types import Candidate, DeployReport
from edgekit.values import from_json, to_json


def deploy_document(**changes: Any) -> Any:
    return json.loads(json.dumps({**to_json(full_report()), **changes}, allow_nan=False))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("bundle")
    return json.loads((small_bundle(folder / "out", folder / "work") / MANIFEST).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == f"edgekit.{name}-1.json"


def test_a_full_report_and_an_empty_one(manifest: Any) -> None:
    validator("deploy").validate(deploy_document())
    empty = DeployReport(
        model={}, target="onnx", profile="p", device=None, winner=None, reason="", candidates=(), calibration=None, evaluation=None,
        baseline=None, request=to_json(request()), tools={}, n_compared=0, timed_input=None, bundle=None,
        wall_s=0.0, peak_rss_bytes=None,
    )  # fmt: skip
    validator("deploy").validate(to_json(empty))
    validator("bundle").validate(manifest)
    nothing = dict.fromkeys(("winner", "candidate", "artifact", "runner", "golden", "calibration"))
    validator("bundle").validate({**manifest, **nothing})


@pytest.mark.parametrize(
    "scheme",
    [
        AsIs(),
        Float32(),
        Float16(),
        BFloat16(),
        Int8Dynamic("int8"),
        Int8Static("mse"),
        WeightOnly(4, 32),
        Vendor("fp8", (("k", 1),)),
    ],
)
def test_every_scheme(scheme: Any) -> None:
    row = {**deploy_document()["candidates"][0], "candidate": to_json(Candidate("t", scheme))}
    validator("deploy").validate(deploy_document(candidates=[json.loads(json.dumps(row))]))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every object in a document that has a fixed set of keys, by its path."""
    free = {
        "model",
        "device",
        "calibration",
        "timed_input",
        "evaluation",
        "request",
        "requested",
        "effective",
        "tools",
        "provenance",
        "options",
        "files",
    }
    free |= {"rails", "build_options", "run_options", "slices", "reasons"}
    if isinstance(value, dict):
        if not path or path[-1] not in free:
            yield path
        for key, child in value.items():
            if key not in free or key in ("slices", "provenance", "files"):
                yield from places(child, (*path, key))
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from places(child, (*path, i))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def is_free(path: tuple[Any, ...]) -> bool:
    """Inside a row's or artifact's provenance everything is open; a bundle's own list of steps is not."""
    return any(step == "provenance" and not isinstance(path[i + 1], int) for i, step in enumerate(path[:-1]))


@pytest.mark.parametrize("name", ["deploy", "bundle"])
def test_a_key_more_or_less_is_refused_everywhere(name: str, manifest: Any) -> None:
    """So that the schema has exactly the fields of the dataclasses: none missing, none open by accident."""
    document = deploy_document() if name == "deploy" else manifest
    checked = validator(name)
    # A bundle's report is a deploy's document, by reference: that it is looked into shows at its top.
    found = [path for path in places(document) if not is_free(path) and (name == "deploy" or len(path) < 2 or path[0] != "report")]
    assert len(found) > (20 if name == "deploy" else 10)
    document = copy.deepcopy(document)
    for path in found:
        place = at(document, path)
        place["surprise"] = 1
        assert not checked.is_valid(document), path
        del place["surprise"]
        for key, value in list(place.items()):
            del place[key]
            assert not checked.is_valid(document), (*path, key)
            place[key] = value
    checked.validate(document)


def test_schema_and_reader_agree_on_what_is_wrong() -> None:
    for path, wrong in (
        (("wall_s",), "12"),
        (("winner", "provisional"), 1),
        (("candidates", 0, "stage"), "guessed"),
        (("candidates", 0, "latency_s", "ci95"), [1.0]),
        (("candidates", 0, "candidate", "scheme", "kind"), "int3"),
        (("candidates", 0, "agreement", "kind"), "feeling"),
        (("n_compared",), 1.5),
    ):
        document = deploy_document()
        at(document, path[:-1])[path[-1]] = wrong
        assert not validator("deploy").is_valid(document), path
        with pytest.raises(EdgekitError):
            from_json(DeployReport, document)


def test_every_error_prints_a_valid_document() -> None:
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, EdgekitError)]
    assert len(classes) > 8
    for cls in classes:
        error = EdgekitError.__new__(cls)
        EdgekitError.__init__(error, "what", why="why", hint="hint")
        validator("error").validate(error.to_json())
    assert not validator("error").is_valid({**EdgekitError("x").to_json(), "exit_code": 99})
    assert not validator("error").is_valid({**EdgekitError("x").to_json(), "extra": 1})


def test_an_unsafe_path_is_refused_by_the_schema_too(manifest: Any) -> None:
    for name in ("/etc/passwd", "../x", "a/../x", "a//b", "a/", ".", "a\\b", ""):
        document = copy.deepcopy(manifest)
        document["files"][name] = {"sha256": "0" * 64, "size_bytes": 1}
        assert not validator("bundle").is_valid(document), name
