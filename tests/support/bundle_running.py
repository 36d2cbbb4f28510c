"""Predicting with a bundle's artifact and the runner code that lies beside it; edgekit itself is not used."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Predict = Callable[[Mapping[str, Any]], dict[str, Any]]


def bundle_predictor(bundle: Path) -> Predict:
    """``predict(feed)`` as the device would compute it, with the run options that were measured."""
    manifest = json.loads((bundle / "edgekit.json").read_text())
    runner = manifest["runner"]
    path = next(bundle / code for code in runner["code"] if Path(code).stem == runner["entry"])
    spec = importlib.util.spec_from_file_location(f"bundled_{bundle.name}_{runner['entry']}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = {name: str(bundle / "artifact" / name) for name in runner["files"]}
    session: Any = module.Session(files, runner["options"])

    def predict(feed: Mapping[str, Any]) -> dict[str, Any]:
        outputs: dict[str, Any] = session.run(dict(feed))
        return outputs

    return predict
