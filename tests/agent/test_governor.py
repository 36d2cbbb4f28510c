"""The governor and its journal on trees of files that look like a board's."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from edgekit.agent import become, governor, journal
from edgekit.agent.errors import AgentError
from edgekit.agent.governor import Governor, Refusal


class Board:
    """Two clusters with their own governors."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = str(root / "home")
        self.files = [root / f"sys/devices/system/cpu/cpufreq/policy{n}/scaling_governor" for n in (0, 4)]
        for file, now in zip(self.files, ("schedutil", "ondemand"), strict=True):
            file.parent.mkdir(parents=True)
            file.write_text(now + "\n")
            (file.parent / "scaling_available_governors").write_text("ondemand performance schedutil \n")

    @property
    def now(self) -> list[str]:
        return [file.read_text().strip() for file in self.files]

    def session(self, name: str = "one") -> Governor:
        return Governor(self.home, name, root=str(self.root))

    @property
    def journals(self) -> list[Path]:
        folder = Path(self.home) / "journal"
        return sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_every_policy_is_set_and_put_back(board: Board) -> None:
    session = board.session()
    before = session.set("performance")
    assert board.now == ["performance", "performance"]
    assert list(before.values()) == ["schedutil", "ondemand"]
    assert len(board.journals) == 1
    assert stat.S_IMODE(board.journals[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(board.journals[0].parent.stat().st_mode) == 0o700
    assert session.restore() == []
    assert board.now == ["schedutil", "ondemand"]
    assert board.journals == []
    assert session.restore() == []
    session.set("ondemand")
    session.set("performance")
    session.restore()
    assert board.now == ["schedutil", "ondemand"], "what stood there before the first change"


def test_the_journal_is_on_the_disk_before_the_change(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[str], int]] = []
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd)))
    session = board.session()
    write = session._write

    def watching(path: str, name: str) -> str:
        seen.append((board.journals[0].read_text().splitlines(), len(synced)))
        return write(path, name)

    monkeypatch.setattr(session, "_write", watching)
    session.set("performance")
    assert [len(lines) for lines, _ in seen] == [1, 2]
    assert json.loads(seen[0][0][0])["before"] == "schedutil"
    assert [n for _, n in seen] == [2, 3], "the folder once, the file for each change"


def test_what_a_killed_session_left_is_repaired_by_the_next(board: Board) -> None:
    killed = board.session()
    killed.set("performance")
    assert board.session("two").repair() == [], "its guardian lives: the journal is locked"
    assert board.now == ["performance", "performance"]
    os.close(killed._journal._fd)  # type: ignore[arg-type]
    after = board.session("two")
    assert after.has_leftovers
    said = after.repair()
    assert board.now == ["schedutil", "ondemand"]
    assert len(said) == 2
    assert "put back from performance to ondemand" in said[0]
    assert not after.has_leftovers
    assert board.journals == []
    killed._journal._fd = None


def leave(board: Board, *changes: journal.Change, tail: str = "") -> Path:
    folder = Path(board.home) / "journal"
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    path = folder / "left.journal"
    path.write_text("".join(json.dumps(change._asdict()) + "\n" for change in changes) + tail)
    return path


def test_only_what_still_stands_as_it_was_left_is_put_back(board: Board) -> None:
    first, second = (str(file) for file in board.files)
    now = journal.boot_id()
    board.files[1].write_text("performance")
    leave(
        board,
        journal.Change(first, "powersave", "performance", now),  # somebody has set schedutil since
        journal.Change(second, "powersave", "performance", "an earlier start of the device"),
        tail='{"path": "cut o',
    )
    assert board.session().repair() == []
    assert board.now == ["schedutil", "performance"]
    assert board.journals == []


def test_a_journal_cannot_make_the_agent_write_elsewhere(board: Board, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("performance")
    inside = f"{board.files[0].parent}/../../../../../../../victim"
    leave(board, *(journal.Change(path, "owned", "performance", journal.boot_id()) for path in (str(victim), inside)))
    assert board.session().repair() == []
    assert victim.read_text() == "performance"


@pytest.mark.parametrize("tail", ["[]\n", '{"path": 7, "before": 1, "after": [], "start": null}\n', "\x00\xff\n", '"text"\n' * 3])
def test_a_broken_journal_is_no_obstacle(board: Board, tail: str) -> None:
    leave(board, tail=tail)
    assert board.session().repair() == []
    assert board.journals == []


def test_a_link_in_the_place_of_a_journal_is_not_followed(board: Board, tmp_path: Path) -> None:
    path = leave(board)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert "left.journal" in board.session().repair()[0]


def test_an_unknown_governor_changes_nothing(board: Board) -> None:
    for name in ("turbo", "performance\n", "../x", ""):
        with pytest.raises(Refusal) as caught:
            board.session().set(name)
        assert caught.value.kind == "unknown"
        assert caught.value.available == ["ondemand", "performance", "schedutil"]
    assert board.journals == []
    with pytest.raises(Refusal, match="no cpufreq"):
        Governor(board.home, "one", root=str(board.root / "nowhere")).set("performance")


def test_what_is_not_permitted_is_refused_and_half_a_change_put_back(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def denied(path: str, flags: int, *rest: int, **more: int) -> int:
        if str(path) == str(board.files[1]) and flags & os.O_WRONLY:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *rest, **more)

    session = board.session()
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(Refusal, match="policy4/scaling_governor: Permission denied") as caught:
        session.set("performance")
    assert caught.value.kind == "denied"
    assert board.now == ["schedutil", "ondemand"]
    assert board.journals == []


def test_a_kernel_that_does_not_take_it_is_refused(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(governor, "read_governor", lambda path: "userspace")
    with pytest.raises(Refusal, match="says 'userspace' after performance was written"):
        board.session().set("performance")


def test_what_cannot_be_put_back_stays_for_the_next(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    session = board.session()
    session.set("performance")
    with monkeypatch.context() as broken:
        broken.setattr(session, "_write", lambda path, name: "no permission any more")
        assert session.restore() == ["no permission any more"] * 2
    assert board.now == ["performance", "performance"]
    assert len(board.session("two").repair()) == 2
    assert board.now == ["schedutil", "ondemand"]


# ---------------------------------------------------------------- become
PATH = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"


def test_the_list_of_privileged_commands_is_fixed() -> None:
    assert become.governor_command(PATH, "performance") == ["/usr/bin/tee", PATH]
    assert become.governor_command("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "ondemand")
    for path, name in (
        ("/etc/passwd", "performance"), (PATH + "/../x", "performance"), (PATH + "\n", "performance"), (PATH, "x; reboot"),
        (PATH, "-a"), ("/sys/devices/system/cpu/cpufreq/policy0/../../../../../../etc/scaling_governor", "performance"),
    ):  # fmt: skip
        with pytest.raises(AgentError):
            become.governor_command(path, name)


def test_the_prefix_comes_first_and_the_name_on_standard_input(tmp_path: Path) -> None:
    script = tmp_path / "sudo"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" > {tmp_path}/argv\ncat > {tmp_path}/input\n')
    script.chmod(0o700)
    assert become.write_governor([str(script), "-n"], PATH, "performance") == ""
    assert (tmp_path / "argv").read_text() == f"-n /usr/bin/tee {PATH}\n"
    assert (tmp_path / "input").read_text() == "performance"
    script.write_text("#!/bin/sh\necho a password is required >&2\nexit 1\n")
    assert "a password is required" in become.write_governor([str(script), "-n"], PATH, "performance")
    assert "No such file" in become.write_governor([str(tmp_path / "none")], PATH, "performance")


@pytest.mark.parametrize("value", ["sudo", [1], ["x"] * 9, [""], ["x" * 300], {"sudo": 1}])
def test_a_prefix_is_a_short_list_of_words(value: object) -> None:
    with pytest.raises(AgentError):
        become.checked_prefix(value)


def test_no_prefix_and_a_usual_one() -> None:
    assert become.checked_prefix([]) == []
    assert become.checked_prefix(["sudo", "-n"]) == ["sudo", "-n"]
