"""Fetch ONNX Runtime Web: one pinned version, checked, into the user's cache."""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vision_zoo.core import atomic, regular_file
from vision_zoo.core.errors import MissingExtraError, WebRuntimeError
from vision_zoo.core.installation import install_extra
from vision_zoo.data import cache

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package's file, as npm publishes it."""

SCRIPT = "ort.wasm.bundle.min.mjs"
WASM = "ort-wasm-simd-threaded.wasm"
_SHA256 = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_FOLDERS = ("", "dist", f"{PACKAGE}/dist", "package/dist", f"node_modules/{PACKAGE}/dist")
_MAX_BYTES = 64 * 2**20
_SECONDS = 600


@dataclass(frozen=True)
class Runtime:
    """ONNX Runtime Web: its JavaScript module and its WebAssembly module."""

    script: bytes
    wasm: bytes


def load_runtime(folder: Path | None = None) -> Runtime:
    """Read ONNX Runtime Web from `folder`, or from the user's cache, into which npm fetches it the first time.

    `folder` holds the npm package, unpacked: the package's own folder, its `dist`, or one with `node_modules`.

    Raises:
        WebRuntimeError: the files are missing, of another version or damaged, or npm cannot fetch them.
        MissingExtraError: they have to be fetched, and there is no npm.
    """
    if folder is not None:
        return _given(folder)
    cached = cache_folder()
    runtime = _read(cached)
    if runtime is None:
        fetch(cached)
        runtime = _read(cached)
    if runtime is None:
        raise WebRuntimeError(
            f"{cached} cannot be read; expected {SCRIPT} and {WASM} in it: delete the folder"
        )
    return runtime


def cache_folder() -> Path:
    """Where the files of the pinned version are kept."""
    return cache.cache_folder() / PACKAGE / VERSION


def fetch(target: Path) -> None:
    """Let npm fetch the package, check it, and put the two files into `target`; raises as `load_runtime`."""
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        raise MissingExtraError(
            f"{PACKAGE} {VERSION} has to be fetched with npm, which is not installed; pass --runtime DIR with the "
            f"unpacked package, or install npm: {install_extra('web')}"
        )
    atomic.make_folder(target)
    with tempfile.TemporaryDirectory() as scratch:
        archive = _packed(npm, Path(scratch))
        content = archive.read_bytes()
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if f"sha512-{digest}" != INTEGRITY:
            raise WebRuntimeError(
                f"npm brought a {PACKAGE} {VERSION} that is not the published one (its SHA-512 differs); "
                "expected the file that the npm registry publishes: look at the registry that npm is set up for"
            )
        with tarfile.open(archive) as package:
            for name in _SHA256:
                member = package.extractfile(f"package/dist/{name}")
                assert member is not None  # noqa: S101  (the archive is the published one)
                atomic.write_bytes(target / name, member.read())


def _packed(npm: str, folder: Path) -> Path:
    """The package's file, fetched into an empty folder."""
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--no-update-notifier"]
    try:
        done = subprocess.run(  # noqa: S603  (npm, and nothing of the user's)
            command,
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_fetched(str(error)) from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        lines = [
            line.removeprefix("npm error ")
            for line in done.stderr.splitlines()
            if line.startswith("npm error ")
        ]
        told = next((line for line in lines if not line.startswith(("code ", "errno ", "syscall "))), "")
        raise _not_fetched(told or f"exit status {done.returncode}")
    return archives[0]


def _not_fetched(reason: str) -> WebRuntimeError:
    return WebRuntimeError(
        f"npm could not fetch {PACKAGE} {VERSION} ({reason:.200}); expected access to the npm registry: "
        "try again, or pass --runtime DIR with the unpacked package"
    )


def _given(folder: Path) -> Runtime:
    for place in _FOLDERS:
        if (folder / place / SCRIPT).is_file() or (folder / place / WASM).is_file():
            runtime = _read(folder / place)
            if runtime is not None:
                return runtime
            raise WebRuntimeError(
                f"{folder / place} does not hold {PACKAGE} {VERSION} as published; expected its {SCRIPT} and {WASM}: "
                f"unpack `npm pack {PACKAGE}@{VERSION}` there"
            )
    kind = (
        "has none of its files"
        if folder.is_dir()
        else "is no folder"
        if folder.exists()
        else "does not exist"
    )
    raise WebRuntimeError(
        f"--runtime {folder} {kind}; expected a folder with {PACKAGE} {VERSION}: "
        f"unpack `npm pack {PACKAGE}@{VERSION}` there"
    )


def _read(folder: Path) -> Runtime | None:
    """The files, if both are there and are the published ones."""
    contents = {}
    for name, expected in _SHA256.items():
        try:
            content = regular_file.read(folder / name, max_bytes=_MAX_BYTES)
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != expected:
            return None
        contents[name] = content
    return Runtime(contents[SCRIPT], contents[WASM])
