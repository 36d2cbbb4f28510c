"""The guest: what runs on a device. Standard library only, Python 3.8 or later, shipped as one zipapp.

Here it is ``edgekit.agent``; in the zipapp it is the top-level package ``agent``, hence relative imports only. The protocol is in
``docs/agent-protocol.md``.
"""
