"""The files of a session: blobs that the host has sent, laid out where a candidate or an application finds them."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from .blobs import BlobStore
from .built import PREFIX
from .errors import AgentError
from .files import SessionFolder, check_sha256, guest_home
from .frames import Frame
from .host import Answer
from .install import install, install_root, rollback


class Storage:
    """Made on first use: a session that sends nothing leaves the disk alone.

    Args:
        name: of the session's folder.
        allow_paths: the host runs on this machine, and ``put`` may name its files instead of sending them.
    """

    def __init__(self, name: str, *, allow_paths: bool) -> None:
        self._name = name
        self._allow_paths = allow_paths
        self._opened: Optional[Tuple[BlobStore, SessionFolder]] = None

    @property
    def path(self) -> str:
        """The session's private folder."""
        return self._open()[1].path

    def lay_out(self, folder_name: str, files: Dict[str, str]) -> Dict[str, str]:
        """See :meth:`SessionFolder.lay_out`."""
        if any(str(name).startswith(PREFIX) for name in files):
            raise AgentError(
                "integrity", "an artifact may not hold files under %s: what is built here never comes from elsewhere" % PREFIX
            )
        blobs, folder = self._open()
        return folder.lay_out(folder_name, files, blobs)

    def close(self) -> None:
        """Remove the session's folder; blobs stay."""
        if self._opened is not None:
            blobs, folder = self._opened
            folder.remove()
            blobs.close()

    def _open(self) -> Tuple[BlobStore, SessionFolder]:
        if self._opened is None:
            home = guest_home()
            folder = SessionFolder(home, self._name)
            self._opened = BlobStore(home, folder.path), folder
        return self._opened

    # ------------------------------------------------------------ operations
    def need(self, frame: Frame) -> Answer:
        sizes = {check_sha256(sha256): int(size) for sha256, size in dict(frame.fields["sizes"]).items()}
        return {"missing": self._open()[0].need(sizes)}, b""

    def put(self, frame: Frame) -> Answer:
        blobs, sha256 = self._open()[0], frame.fields["sha256"]
        if "path" in frame.fields:
            if not self._allow_paths:
                raise AgentError("protocol", "this agent takes no paths: send the bytes")
            blobs.put_path(sha256, str(frame.fields["path"]))
            return {"complete": True}, b""
        complete = blobs.put(sha256, int(frame.fields["offset"]), int(frame.fields["size"]), frame.payload)
        return {"complete": complete}, b""

    def install(self, frame: Frame) -> Answer:
        files = {str(name): str(sha256) for name, sha256 in dict(frame.fields["files"]).items()}
        return install(install_root(frame.fields["path"]), str(frame.fields["version"]), files, self._open()[0]), b""

    def rollback(self, frame: Frame) -> Answer:
        return rollback(install_root(frame.fields["path"])), b""
