"""Which flags trtexec gets. They follow from the version that it reports, and only such are used as its own ``--help`` lists.

A guest file: it is copied to the device on its own, imports the standard library alone, and keeps to Python 3.8.

What changed over the versions: ``--workspace`` gave way to ``--memPoolSize`` in 8.4, ``--buildOnly`` to ``--skipInference`` in 8.6;
strongly typed networks came with 9.0 and are the only ones from 11 on, which has no flags of precision any more; 11 leaves data
transfers out of its timing, captures a CUDA graph and spins unless told otherwise; 8 to 10 do the reverse ("Migrating trtexec
Usage" in NVIDIA's TensorRT documentation).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Sequence

OLDEST = (8, 0)
BEFORE = (12, 0)
PRECISIONS = ("float32", "float16", "int8", "int8+fp16")
_PLAIN_NAME = re.compile(r"[^\s,:'\"]+\Z")


class UnsupportedError(RuntimeError):
    """This version of TensorRT, or this trtexec, cannot do what is asked for; the text says what to do instead."""


class Tool(NamedTuple):
    """``options``: those that its ``--help`` lists."""

    path: str
    version: tuple[int, int, int]
    options: frozenset[str]

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))

    def require(self, *flags: str) -> None:
        """
        Raises:
            UnsupportedError: this trtexec lists no such option.
        """
        missing = [flag for flag in flags if flag not in self.options]
        if missing:
            raise UnsupportedError(
                "trtexec %s has no %s; it is not the program of NVIDIA's packages: install TensorRT from JetPack"
                % (self.text, missing[0])
            )


def check_version(version: Sequence[int]) -> None:
    """
    Raises:
        UnsupportedError: a version whose flags are not known.
    """
    text = ".".join(map(str, version))
    if tuple(version[:2]) < OLDEST:
        raise UnsupportedError(
            "TensorRT %s is too old: 8.0 (JetPack 4.6) is the first that reads explicit int8; update JetPack" % text
        )
    if tuple(version[:2]) >= BEFORE:
        raise UnsupportedError(
            "TensorRT %s is newer than this edgekit knows (8.0 to 11): update edgekit, or install TensorRT 11" % text
        )


def typing_flags(version: Sequence[int], options: dict[str, Any]) -> tuple[list[str], str]:
    """Flags of precision, and what they amount to: "strong" (the graph's own types hold) or "weak" (they are what may be used).

    Raises:
        UnsupportedError: a precision that is not known here.
    """
    precision = options.get("precision", "float32")
    if precision not in PRECISIONS:
        raise UnsupportedError("precision %r is not known to this runner; build the bundle anew with this edgekit" % (precision,))
    if tuple(version) >= (11, 0):
        return [], "strong"
    if options.get("strongly_typed", True) and tuple(version) >= (9, 0):
        return ["--stronglyTyped"], "strong"
    flags = {"float32": [], "float16": ["--fp16"], "int8": ["--int8"], "int8+fp16": ["--int8", "--fp16"]}
    return flags[precision], "weak"


def build_flags(
    tool: Tool, options: dict[str, Any], memory_pool_bytes: int | None, timing_cache: str | None
) -> tuple[list[str], dict[str, Any]]:
    """The flags of a build beside ``--onnx`` and ``--saveEngine``, and the settings that they make.

    Args:
        options: of the runner.
        memory_pool_bytes: the most that a layer's scratch memory may take; ``None`` leaves it to TensorRT.
        timing_cache: file in which kernels that have been timed are kept.

    Raises:
        UnsupportedError: see :class:`UnsupportedError`.
    """
    tool.require("--onnx", "--saveEngine")
    flags, typing = typing_flags(tool.version, options)
    tool.require(*flags)
    settings: dict[str, Any] = {"typing": typing, "precision": options.get("precision", "float32")}
    skip = "--skipInference" if "--skipInference" in tool.options else "--buildOnly"
    tool.require(skip)
    flags.append(skip)
    tf32 = bool(options.get("tf32", False))
    if not tf32 and "--noTF32" in tool.options:
        flags.append("--noTF32")
    settings["tf32"] = tf32 if "--noTF32" in tool.options else None
    if options.get("sparsity", "disable") == "enable":
        tool.require("--sparsity")
        flags.append("--sparsity=enable")
    settings["sparsity"] = options.get("sparsity", "disable")
    if memory_pool_bytes is not None:
        mebibytes = max(1, memory_pool_bytes >> 20)
        is_pool = "--memPoolSize" in tool.options
        flags.append("--memPoolSize=workspace:%d" % mebibytes if is_pool else "--workspace=%d" % mebibytes)
        tool.require("--memPoolSize" if is_pool else "--workspace")
        settings["memory_pool_bytes"] = mebibytes << 20
    if timing_cache is not None and "--timingCacheFile" in tool.options:
        flags.append("--timingCacheFile=%s" % timing_cache)
        settings["timing_cache"] = True
    for bound in ("min", "opt", "max"):
        shapes = {name: spec[bound] for name, spec in (options.get("shapes") or {}).items()}
        if shapes:
            flags.append("--%sShapes=%s" % (bound, shape_list(shapes)))
    return flags, settings


def timing_settings(tool: Tool, *, cuda_graph: bool = False) -> tuple[list[str], dict[str, Any]]:
    """Flags that make runs comparable over all versions: transfers counted, the wait spins, a CUDA graph only when asked for."""
    if tool.version >= (11, 0):
        tool.require("--includeDataTransfers")
        flags = ["--includeDataTransfers"]
        if not cuda_graph:
            tool.require("--noCudaGraph")
            flags.append("--noCudaGraph")
    else:
        tool.require("--useSpinWait")
        flags = ["--useSpinWait"]
        if cuda_graph:
            tool.require("--useCudaGraph")
            flags.append("--useCudaGraph")
    return flags, {"data_transfers": True, "cuda_graph": cuda_graph, "spin_wait": True}


def shape_list(shapes: dict[str, Sequence[int]]) -> str:
    """``name:1x3x224x224,other:1``; a scalar has no sizes."""
    return ",".join("%s:%s" % (plain(name), "x".join(map(str, shape)) or "scalar") for name, shape in shapes.items())


def plain(name: str) -> str:
    """``name`` if trtexec's lists can hold it.

    Raises:
        UnsupportedError: it holds a separator of theirs.
    """
    if not _PLAIN_NAME.match(name):
        raise UnsupportedError("trtexec cannot be told of an input called %r: build the bundle anew with this edgekit" % name)
    return name
