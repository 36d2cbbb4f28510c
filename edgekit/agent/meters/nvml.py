"""NVML: the energy counters of NVIDIA graphics cards, in mJ since the driver was loaded, through the driver's own library.

https://docs.nvidia.com/deploy/nvml-api/: ``nvmlDeviceGetTotalEnergyConsumption``, from the Volta generation on. Not on Jetson. It
sees the card alone, not the processor that feeds it, so it is taken only when the device's ``meter`` setting names it.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from .base import Meter, MeterError, Rail

LIBRARY = "libnvidia-ml.so.1"
_PERIOD_S = 0.1
_MAX_CARDS = 16
_NOT_SUPPORTED = 3


class Nvml(Meter):
    """Joules by card."""

    name = "nvml"
    kind = "counter"
    automatic = False

    def __init__(self, library: Any, handles: Dict[str, Any], reason: str) -> None:
        rails = [Rail(name, "GPU") for name in handles]
        super().__init__(rails, list(handles), "graphics cards", period_s=_PERIOD_S, resolution=1e-3, reason=reason)
        self._library = library
        self._handles = handles

    def read(self) -> Dict[str, float]:
        return {name: energy_mj(self._library, handle) * 1e-3 for name, handle in self._handles.items()}


def energy_mj(library: Any, handle: Any) -> int:
    """The counter of one card.

    Raises:
        MeterError: the driver refuses; says with which number.
    """
    import ctypes

    value = ctypes.c_ulonglong(0)
    status = library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value))
    if status != 0:
        why = "this card has no energy counter" if status == _NOT_SUPPORTED else "NVML error %d" % status
        raise MeterError("nvmlDeviceGetTotalEnergyConsumption: %s" % why)
    return int(value.value)


def find(root: str, library: Optional[Any] = None) -> List[Meter]:
    """All cards as one meter; ``library`` stands in for the driver's."""
    try:
        import ctypes  # small Pythons on boards are built without it

        if library is None:
            if root != "/":
                return []  # the library is this system's, whatever the root folder is
            library = ctypes.CDLL(LIBRARY)
    except (ImportError, OSError):
        return []
    if library.nvmlInit_v2() != 0:
        return []
    count = ctypes.c_uint(0)
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return []
    handles: Dict[str, Any] = {}
    reason = ""
    for index in range(min(int(count.value), _MAX_CARDS)):
        handle = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != 0:
            continue
        handles["gpu%d" % index] = handle
        try:
            energy_mj(library, handle)
        except MeterError as problem:
            reason = reason or str(problem)
    return [Nvml(library, handles, reason)] if handles else []
