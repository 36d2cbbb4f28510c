"""The ``tensorrt`` target: NVIDIA GPUs. ``target.py`` runs on the host and needs no GPU; ``device.py`` builds engines there."""
