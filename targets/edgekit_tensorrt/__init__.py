"""The ``tensorrt`` target: NVIDIA GPUs. ``target.py`` runs on the host and needs no GPU; engines are built on the device (``device.py``)."""
