"""The verdict on a board that edgekit cannot reach: a program in the bundle that a colleague runs there.

:mod:`.packing` writes ``deploy-on-device.pyz`` on the host. The other modules travel in it, beside the agent, the runners and the
few modules of edgekit's whose rules hold there as well (``fidelity``, ``contract``, ``measure.statistics``): Python 3.8, its
standard library, numpy and the board's runtime must do.
"""
