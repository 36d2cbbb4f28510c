"""A program that works on two devices at once until it is interrupted, which it does itself."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from edgekit.devices.inventory import Device
from edgekit.devices.transport import LocalTransport
from edgekit.fleet import run_on_all
from edgekit.progress import Silent

started = threading.Barrier(3, timeout=20)
ended: list[str] = []


def work(one: Device, progress: Any) -> None:
    started.wait()
    try:
        while True:
            progress.advance(0, 1, "working")
            threading.Event().wait(0.01)
    finally:
        ended.append(one.name)


def interrupt() -> None:
    started.wait()
    os.kill(os.getpid(), signal.SIGINT)


threading.Thread(target=interrupt).start()
try:
    run_on_all([Device(name, name, LocalTransport(address=name, shares_files=False)) for name in "ab"], work, Silent())
except KeyboardInterrupt:
    print(f"interrupted; ended: {' '.join(sorted(ended))}")
