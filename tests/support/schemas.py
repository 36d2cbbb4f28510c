"""The JSON Schemas under docs/, able to refer to one another."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from support.requirements import ROOT

FOLDER = ROOT / "docs" / "schemas"
NAMES = (
    "deploy", "error", "bundle", "inspect", "profile", "fleet",
    "devices", "device", "device-add", "device-remove", "device-doctor", "device-setup", "probe",
    "toolchains", "toolchain", "toolchain-remove", "check", "check-package", "sign", "package",
    "package-manifest", "on-device",
)  # fmt: skip
SCHEMAS = {name: json.loads((FOLDER / f"edgekit.{name}-1.json").read_text()) for name in NAMES}
PREPROCESS = json.loads((FOLDER / "preprocess-1.json").read_text())
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in (*SCHEMAS.values(), PREPROCESS)
)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY)
