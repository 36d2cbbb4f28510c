from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from support.reports import FLOAT, STATIC, row

from edgekit.progress import Silent
from edgekit.schemes import Float16
from edgekit.sustaining import finalists, sustain
from edgekit.types import Candidate, CandidateReport, Conditions, Latency, Sustained, Turn


def timed(candidate: Candidate, p50: float, *, accepted: bool = True) -> CandidateReport:
    latency = Latency(p50, p50, p50, p50, p50, 100, (p50, p50))
    return replace(row(candidate, accepted=accepted), id=candidate.id, latency_s=latency)


def test_the_winner_float_and_whoever_is_right_and_near() -> None:
    near, far = Candidate("onnx", Float16()), Candidate("onnx", Float16(), build_options={"far": 1})
    wrong = Candidate("onnx", Float16(), build_options={"wrong": 1})
    rows = [timed(FLOAT, 3.0), timed(STATIC, 1.0), timed(near, 1.09), timed(far, 1.2), timed(wrong, 0.9, accepted=False)]
    assert finalists(rows, STATIC.id) == [STATIC.id, FLOAT.id, near.id]
    assert finalists(rows, FLOAT.id)[0] == FLOAT.id
    assert far.id in finalists(rows, FLOAT.id)
    assert (
        len(finalists([*rows, *(timed(Candidate("onnx", Float16(), build_options={"n": n}), 1.0) for n in range(9))], STATIC.id))
        == 6
    )


def test_without_a_timed_winner_there_is_nobody() -> None:
    assert finalists([timed(FLOAT, 1.0)], None) == []
    assert finalists([replace(timed(FLOAT, 1.0), latency_s=None)], FLOAT.id) == []


def test_float_is_no_rival_where_the_precision_was_chosen() -> None:
    """``--precision int8`` keeps an int8 that is slower than float; a long run does not reopen that."""
    turns = {FLOAT.id: 0.001, STATIC.id: 0.002}
    readings = Conditions((0,), 1, 0.01, None, (), ())
    results = {key: Sustained(tuple(Turn(n, n * 0.1, 1, (s,)) for n in range(40)), 4.0, readings) for key, s in turns.items()}
    session: Any = SimpleNamespace(sustain=lambda *_: results)
    built: Any = {key: SimpleNamespace(artifact=SimpleNamespace(io=())) for key in results}
    rows = [timed(FLOAT, 0.001), timed(STATIC, 0.002)]
    for explicit, would_change in ((True, False), (False, True)):
        report = sustain(session, built, list(results), {}, 4.0, Silent(), rows=rows, winner=STATIC.id, explicit_precision=explicit)
        assert report.would_change is would_change
