"""The frozen values that travel from a model to a verdict. No behaviour beyond identity; JSON is in :mod:`edgekit.values`.

Units are in the names (``_s`` seconds, ``_bytes``, ``_j`` joules, ``_db`` decibels). What was not measured is ``None`` and the
field beside it says why.
"""

from .artifacts import Artifact, Candidate, Reject, Runner, TensorMap, sha256_file
from .hardware import CpuPolicy, DeviceFacts, DeviceKind, Jetson, PowerSensor, Profile, Site
from .measurements import (
    Conditions,
    ConditionSummary,
    Latency,
    Measurement,
    Ratio,
    Reading,
    RunFailure,
    Sustained,
    Turn,
    WarmUp,
    Zone,
)
from .quality import Agreement, DeviceDifference, Fidelity, Score, SliceValue, SliceVerdict
from .reports import BaselineReport, CandidateReport, DeployReport, Stage, SustainBucket, SustainReport, SustainRow, Winner
from .tensors import JSON, Array, BuildData, Feed, Feeds, NodeId, Samples, TensorSpec

__all__ = [
    "JSON",
    "Agreement",
    "Array",
    "Artifact",
    "BaselineReport",
    "BuildData",
    "Candidate",
    "CandidateReport",
    "ConditionSummary",
    "Conditions",
    "CpuPolicy",
    "DeployReport",
    "DeviceDifference",
    "DeviceFacts",
    "DeviceKind",
    "Feed",
    "Feeds",
    "Fidelity",
    "Jetson",
    "Latency",
    "Measurement",
    "NodeId",
    "PowerSensor",
    "Profile",
    "Ratio",
    "Reading",
    "Reject",
    "RunFailure",
    "Runner",
    "Samples",
    "Score",
    "Site",
    "SliceValue",
    "SliceVerdict",
    "Stage",
    "SustainBucket",
    "SustainReport",
    "SustainRow",
    "Sustained",
    "TensorMap",
    "TensorSpec",
    "Turn",
    "WarmUp",
    "Winner",
    "Zone",
    "sha256_file",
]
