"""``python3 deploy-on-device.pyz``: which candidate of this bundle is fastest on this machine and still right.

Beside the bundle it needs Python 3.8 or later, numpy and the runtime of the board. Nothing is written but the agent's own cache
(``~/.cache/edgekit``) and the file that --output names.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zipfile
from typing import Any, Dict, List, Optional

OK, USAGE, MISSING, NOTHING, BUSY, FAILED, INTEGRITY, INTERRUPTED = 0, 2, 3, 5, 6, 7, 8, 130
_OF_REFUSAL = {"busy": BUSY, "integrity": INTEGRITY}


class Problem(Exception):  # noqa: N818 - what is told
    """Why there is no verdict, as ``edgekit.error/1`` says it."""

    def __init__(self, exit_code: int, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.document = {"schema": "edgekit.error/1", "exit_code": exit_code, "what": what, "why": why, "hint": hint}
        self.exit_code = exit_code


def main(zipapp: str, arguments: List[str]) -> int:
    """Run; the exit code is 0 with a winner, 5 without, otherwise as of ``edgekit`` itself."""
    parser = argparse.ArgumentParser(prog="deploy-on-device.pyz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the verdict as one JSON document")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the verdict with every sample to FILE, as JSON; send that back"
    )
    asked = parser.parse_args(arguments)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        found = _run(zipapp, asked.output, tell)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Problem as problem:
        said = problem.document
        if asked.json:
            print(json.dumps(said))
        tell(
            ": ".join(str(said[part]) for part in ("what", "why") if said[part]) + (" (%s)" % said["hint"] if said["hint"] else "")
        )
        return problem.exit_code
    if asked.json:
        print(json.dumps(found["document"], indent=1, sort_keys=True))
    else:
        print("\n".join(found["text"]))
    return OK if found["document"]["winner"] is not None else NOTHING


def _run(zipapp: str, output: Optional[str], tell: Any) -> Dict[str, Any]:
    try:
        import numpy  # noqa: F401 - said before a traceback would
    except ImportError as problem:
        raise Problem(MISSING, "numpy is not installed", str(problem), "install python3-numpy, or numpy with pip") from problem
    from .client import AgentGone, LocalAgent, Refused
    from .deciding import decide
    from .plan import PLAN, read_plan
    from .running import run
    from .telling import clean, document, samples, text

    with zipfile.ZipFile(zipapp) as archive:
        plan = read_plan(archive.read(PLAN).decode("utf-8"))
    folder = os.path.dirname(os.path.realpath(zipapp))
    _require_files([each.path for each in plan.files()], folder)
    _require_writable(output)

    def said(line: str) -> None:
        tell(clean(line))

    agent = LocalAgent(zipapp)
    try:
        with agent:
            found = run(agent, plan, folder, said)
    except Refused as problem:
        code = _OF_REFUSAL.get(problem.kind, FAILED)
        what = "somebody else uses this device" if code == BUSY else "the agent refused: %s" % problem.kind
        raise Problem(code, what, clean(problem), "try again later" if code == BUSY else "") from problem
    except AgentGone as problem:
        raise Problem(
            FAILED, "the agent did not go through with it", clean(problem), "\n".join(map(clean, agent.log))[-500:]
        ) from problem
    verdict = decide(
        found.seen, faster=plan.faster, has_chosen_precision=plan.has_chosen_precision, objective=plan.objective
    )  # fmt: skip
    if all(row.seen.refused and row.seen.candidate.id not in found.told for row in verdict.rows):
        reasons = sorted({row.seen.refused for row in verdict.rows})
        needs = ", ".join(plan.requires)
        missing = all("missing-runtime" in reason for reason in reasons)
        hint = "this Python needs: %s" % needs if missing else ""
        raise Problem(MISSING if missing else FAILED, "no candidate runs on this machine", clean("; ".join(reasons), 800), hint)
    made = document(plan, found, verdict, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    if output is not None:
        _write(output, {**made, "samples": samples(verdict)})
    return {"document": made, "text": text(plan, found, verdict)}


def _require_files(names: List[str], folder: str) -> None:
    missing = [name for name in names if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        raise Problem(
            INTEGRITY,
            "the bundle is not whole",
            "%s is missing" % ", ".join(missing[:3]),
            "copy the whole folder, not this file alone",
        )


def _require_writable(output: Optional[str]) -> None:
    """Said before the minutes that the run takes."""
    if output is None:
        return
    if os.path.isdir(output):
        raise Problem(FAILED, "%s cannot be written" % output, "it is a folder", "name a file in it")
    if not os.access(os.path.dirname(os.path.abspath(output)), os.W_OK):
        raise Problem(FAILED, "%s cannot be written" % output, "its folder is missing, or not yours to write", "name another file")


def _write(output: str, made: Dict[str, Any]) -> None:
    """Aside, then renamed: it is there whole or not at all."""
    aside = "%s.%d.tmp" % (output, os.getpid())
    try:
        with open(aside, "w", encoding="utf-8") as stream:
            json.dump(made, stream, sort_keys=True)
            stream.write("\n")
        os.replace(aside, output)
    except OSError as problem:
        if os.path.exists(aside):
            os.unlink(aside)
        raise Problem(FAILED, "%s cannot be written" % output, problem.strerror or str(problem)) from problem
