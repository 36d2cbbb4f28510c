from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.testing import guest


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import torch\n", "line 1: imports torch"),
        ("def late():\n    from edgekit.types import Artifact\n", "line 2: imports edgekit"),
        ("from . import helper\n", "line 1: relative import"),
        ("match 1:\n    case 1: pass\n", "line 2: not Python 3.8"),
        ("try: pass\nexcept* OSError: pass\n", "line 2: not Python 3.8"),
        ("def f(a: list[int]): pass\n", "line 1: not Python 3.8: this annotation"),
        ("def f() -> 'int': pass\nx: int | None = None\n", "line 2: not Python 3.8: this annotation"),
        ("with (open('a') as a, open('b') as b): pass\n", "line 1: not Python 3.8"),
    ],
)
def test_what_cannot_be_shipped_is_named(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "device.py"
    path.write_text(source)
    assert any(said in problem for problem in guest.problems(path, allowed=()))


def test_the_standard_library_numpy_and_the_declared_runtime_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "device.py"
    path.write_text("from __future__ import annotations\nimport json, os.path\nimport numpy as np\nimport my_runtime.core\n")
    assert guest.problems(path, allowed=("my_runtime",)) == []
