from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.data import open_calibration
from edgekit.inspect.ranges import describe_ranges
from edgekit.model import load_model
from edgekit.testing.models import CASES
from edgekit.values import from_json, to_json


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_model_has_ranges(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model = load_model(case.write(tmp_path))
    data = open_calibration([case.feed(1, seed) for seed in range(45)], model.inputs)
    table = describe_ranges(model, data.build)
    assert table.n_feeds == 36
    assert table.tensors
    for row in table.tensors:
        assert row.count > 0
        assert row.seen is not None
        for span in row.ranges.values():
            assert span is not None
            assert min(row.seen[0], 0) <= span[0] <= 0 <= span[1] <= max(row.seen[1], 0)
    assert from_json(type(table), to_json(table)) == table


def test_tensors_come_in_the_order_of_the_graph(tmp_path: Path) -> None:
    case = CASES["shared"]
    model = load_model(case.write(tmp_path))
    data = open_calibration([case.feed(1, seed) for seed in range(45)], model.inputs)
    names = [row.tensor for row in describe_ranges(model, data.build).tensors]
    assert names == ["features", "h1", "a1", "h2", "a2", "h3", "result"]
