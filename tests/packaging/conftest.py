"""Packages that several files look at: compiling a wrapper takes a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.java import need_jdk
from support.packages import digits_onnx, digits_tflite, labels_file

import edgekit

ANDROID_BUNDLES: dict[str, Callable[..., Path]] = {"onnx": digits_onnx, "tflite": digits_tflite}


@pytest.fixture(scope="session")
def android_packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package of the digits net for each runtime, with labels and two threads; its bundle lies beside it as ``<kind>-bundle``."""
    need_jdk()
    folder = tmp_path_factory.mktemp("android")
    labels = labels_file(folder)
    with pytest.MonkeyPatch.context() as environment:  # the home of a single test is not there yet
        environment.setenv("EDGEKIT_HOME", str(folder / "home"))
        for kind, bundle_of in ANDROID_BUNDLES.items():
            bundle = bundle_of(folder / f"{kind}-bundle", options={"threads": 2})
            edgekit.package(bundle, format="android", output=folder / kind, labels=labels)
    return {kind: folder / kind for kind in ANDROID_BUNDLES}
