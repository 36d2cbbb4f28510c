"""Where the zipapp starts: a guardian, or with ``--worker`` the process of one candidate."""

from __future__ import annotations

import os
import sys

from .stdio import take_stdio


def main() -> int:
    """Take standard input and output away from whatever is imported later, then serve."""
    input_fd, output_fd = take_stdio()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--worker"]:
        from . import worker

        return worker.main(arguments[1:], input_fd, output_fd)
    from . import guardian

    return guardian.main(arguments, os.path.abspath(sys.argv[0]), input_fd, output_fd)
