"""Runs in a toolchain's Python, before anything of it is imported: bounds the process, then becomes the script.

Arguments: the most address space in bytes, the script, its arguments. Nothing imports this file.
"""

from __future__ import annotations

import resource
import runpy
import sys


def main() -> None:
    memory_bytes, script = int(sys.argv[1]), sys.argv[2]
    for limit, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    sys.argv = sys.argv[2:]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
