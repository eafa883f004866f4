"""Diagnose problems that keep this machine from running models. Needs no torch."""

import ctypes
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vision_zoo.core import environment, installation, onnx_runtime
from vision_zoo.core.errors import VisionZooError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.core.registry import Registry
from vision_zoo.serving.models import list_models, model_folders
from vision_zoo.serving.providers import (
    EXECUTION_PROVIDERS,
    driver_missing,
    installed_runtimes,
    library_missing,
    missing_for,
)
from vision_zoo.serving.session import Session

State = Literal["ok", "note", "problem"]

_TRAIN_PACKAGES = ("torch", "torchvision", "onnx")
_RUNS = 20


@dataclass(frozen=True)
class Finding:
    """The result of one check, with a remedy if there is a problem."""

    check: str
    state: State
    detail: str
    remedy: str = ""


def diagnose(
    models_dir: Path | None = None, data_dir: Path | None = None, progress: Progress | None = None
) -> list[Finding]:
    """Run every check, from the machine to the datasets.

    Checks change nothing but the cache of decoded images: datasets are loaded to test them.
    """
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (_machine, _packages, _plugins, _runtimes, _cuda)
    findings = [finding for check in checks for finding in check()]
    about_models, usable = _models(models_dir)
    return [*findings, *about_models, *_providers(usable), *_data(data_dir, progress or SilentProgress())]


def _machine() -> Iterator[Finding]:
    here = environment.describe()
    memory = "" if here.memory_gib is None else f", {here.memory_gib} GiB of memory"
    yield Finding("machine", "ok", f"{here.description}{memory}, {here.system}")
    yield Finding("Python", "ok", here.python)


def _packages() -> Iterator[Finding]:
    present = environment.installed(_TRAIN_PACKAGES)
    missing = [name for name in _TRAIN_PACKAGES if name not in present]
    if missing:
        yield Finding(
            "training",
            "note",
            f"{', '.join(missing)} not installed: models can run, but not be trained",
            installation.install_extra("train"),
        )
    else:
        yield Finding("training", "ok", ", ".join(f"{name} {version}" for name, version in present.items()))


def _plugins() -> Iterator[Finding]:
    """Load every plug-in."""
    from vision_zoo import architectures, data, recipes

    usable = []
    registries: tuple[Registry[Any], ...] = (architectures.REGISTRY, data.REGISTRY, recipes.REGISTRY)
    for registry in registries:
        entries, faults = registry.entries()
        yield from (Finding("plug-ins", "problem", fault) for fault in faults)
        for name in entries:
            packages = (f"{package} {version}" for package, version in registry.package_of(name).items())
            usable += [f"{registry.kind} {name} ({package})" for package in packages]
    if usable:
        yield Finding("plug-ins", "ok", ", ".join(usable))


def _runtimes() -> Iterator[Finding]:
    installed = installed_runtimes()
    found = ", ".join(f"{name} {version}" for name, version in installed.items()) or "none"
    if len(installed) > 1:
        yield Finding(
            "ONNX Runtime",
            "problem",
            f"{found}: both install the module onnxruntime, and one has overwritten the other",
            f"{installation.uninstall(*installed)}; then {installation.install(_runtime_for_this_machine())}",
        )
        return
    runtime = onnx_runtime.load()
    built_for = getattr(runtime, "cuda_version", "")
    cuda = f", built for CUDA {built_for}" if built_for else ""
    yield Finding(
        "ONNX Runtime", "ok", f"{found}{cuda}; built with {', '.join(runtime.get_available_providers())}"
    )


def _runtime_for_this_machine() -> str:
    """The package that vision-zoo depends on on this platform."""
    with_gpu = sys.platform in ("linux", "win32") and platform.machine() in ("x86_64", "AMD64")
    return "onnxruntime-gpu" if with_gpu else "onnxruntime"


def _cuda() -> Iterator[Finding]:
    missing = driver_missing()
    if missing is not None:
        smaller = f"{installation.uninstall('onnxruntime-gpu')}; then {installation.install('onnxruntime')}"
        without = (
            f"; if not, this saves 270 MiB: {smaller}" if "onnxruntime-gpu" in installed_runtimes() else ""
        )
        remedy = f"install it if this machine has an NVIDIA GPU{without}"
        yield Finding("NVIDIA driver", "note", missing, remedy)
        return
    supported = _driver_cuda()
    yield Finding("NVIDIA driver", "ok", f"supports CUDA up to {supported or 'an unknown version'}")
    built_for = str(getattr(onnx_runtime.load(), "cuda_version", "") or "")
    if not built_for:
        return
    major = int(built_for.partition(".")[0])
    if supported is not None and int(supported.partition(".")[0]) < major:
        yield Finding(
            "CUDA version",
            "problem",
            f"ONNX Runtime is built for CUDA {built_for}, but the driver supports {supported}",
            "install a newer driver, or an onnxruntime-gpu built for the CUDA version of the driver",
        )
    others = sorted({found for found in _packaged_cuda() if found != major})
    if others:
        yield Finding(
            "CUDA version",
            "problem",
            f"ONNX Runtime is built for CUDA {major}, but Python packages contain CUDA {', '.join(map(str, others))}",
            f"install nvidia packages and a torch for CUDA {major}",
        )
    missing = library_missing("cuda")  # those in Python packages are found only after they were loaded
    if missing is not None:
        yield Finding(
            "CUDA libraries",
            "problem",
            missing,
            f"{installation.install('onnxruntime-gpu[cuda,cudnn]')}, or put CUDA and cuDNN on the library path",
        )
    else:
        yield Finding(
            "CUDA libraries", "ok", "found; those in Python packages are loaded before ONNX Runtime"
        )


def _providers(models: Sequence[Path]) -> Iterator[Finding]:
    """Run a model on every provider."""
    for name in EXECUTION_PROVIDERS:
        reason = missing_for(name)
        if reason is not None:
            state: State = "note" if driver_missing() else "problem"
            yield Finding(f"provider {name}", state, reason)
        elif not models:
            yield Finding(f"provider {name}", "note", "not tested: no model to run")
        else:
            yield _tried(name, models[0])


def _tried(provider: str, path: Path) -> Finding:
    try:
        session = Session(path, provider=provider)
        image = np.zeros((1, *session.metadata.input.shape), dtype=np.uint8)
        session.predict(image)
        started = time.perf_counter()
        for _ in range(_RUNS):
            session.predict(image)
        milliseconds = 1e3 * (time.perf_counter() - started) / _RUNS
    except VisionZooError as error:
        return Finding(f"provider {provider}", "problem", str(error))
    detail = f"{session.name} ran on {session.provider}, {milliseconds:.3f} ms per image"
    return Finding(f"provider {provider}", "ok", detail)


def _models(models_dir: Path | None) -> tuple[list[Finding], list[Path]]:
    """Check the exported models; return the findings and the usable models."""
    try:
        folders, paths = model_folders(models_dir), [*list_models(models_dir).values()]
    except VisionZooError as error:
        return [Finding("models", "problem", str(error))], []
    if not folders:
        advice = "train one, export it, or pass --models-dir"
        return [Finding("models", "note", "no folder of exported models", advice)], []
    errors = {path: reason for path in paths if (reason := _broken(path)) is not None}
    findings = []
    for folder in folders:
        here = [path for path in paths if path.parent == folder]
        broken = [errors[path] for path in here if path in errors]
        findings += [Finding("models", "problem", error, "export it again, or remove it") for error in broken]
        hidden = {path.name for path in paths if path.parent != folder and (folder / path.name).is_file()}
        detail = f"{len(here) - len(broken)} of {len(here)} in {folder} are usable"
        detail += f"; {len(hidden)} have the name of a model in another folder" * bool(hidden)
        findings.append(Finding("models", "ok", detail))
    return findings, [path for path in paths if path not in errors]


def _broken(path: Path) -> str | None:
    try:
        Session(path, provider="cpu")
    except VisionZooError as error:
        return str(error)
    return None


def _data(data_dir: Path | None, progress: Progress) -> Iterator[Finding]:
    from vision_zoo.data.cache import cache_folder
    from vision_zoo.data.sources import ENVIRONMENT_VARIABLE

    if data_dir is not None:  # the only place that is looked at then
        folders = {"--data-dir": data_dir}
    else:
        named = os.environ.get(ENVIRONMENT_VARIABLE)
        folders = {ENVIRONMENT_VARIABLE: Path(named)} if named else {}
        folders["cache"] = cache_folder() / "data"
    for origin, folder in folders.items():
        yield from _datasets(origin, folder, progress)
    cache = cache_folder()
    parent = next((folder for folder in (cache, *cache.parents) if folder.exists()), cache)
    if not os.access(parent, os.W_OK):
        yield Finding(
            "cache",
            "problem",
            f"{cache} cannot be written: datasets will be decoded again every time",
            "change its permissions, or set XDG_CACHE_HOME",
        )


def _datasets(origin: str, folder: Path, progress: Progress) -> Iterator[Finding]:
    """Load each dataset that has a folder: it may be empty, incomplete or damaged."""
    from vision_zoo.data import DATASETS

    usable, failed = [], []
    for name in DATASETS:
        if not (folder / name).is_dir():
            continue
        progress.line(f"loading {folder / name}")
        try:
            DATASETS[name].load(folder)
            usable.append(name)
        except ModuleNotFoundError as error:
            reason = f"reading {name} needs the package {error.name}, which is not installed"
            yield Finding("data", "note", f"{origin}: {reason}", installation.install_extra("train"))
        except (VisionZooError, OSError, MemoryError) as error:
            failed.append(name)
            reason = str(error) or type(error).__name__
            advice = f"restore it, or remove {folder / name}: it is downloaded again when needed"
            yield Finding("data", "problem", f"{origin}: {name} cannot be loaded: {reason}", advice)
    if usable:
        yield Finding("data", "ok", f"{origin}: {folder} has {', '.join(usable)}")
    elif origin == "cache" and not failed:
        yield Finding(
            "data", "note", f"cache: {folder} is empty; datasets are downloaded into it when needed"
        )
    elif not failed:
        kind = "has no dataset" if folder.is_dir() else "is not a folder"
        advice = "choose a folder with sub-folders such as mnist"
        yield Finding("data", "problem", f"{origin}: {folder} {kind}", advice)


def _driver_cuda() -> str | None:
    """The newest CUDA that the driver supports, for instance 13.0."""
    version = ctypes.c_int()
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        if driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _packaged_cuda() -> list[int]:
    """The CUDA major versions of installed Python packages that contain its runtime."""
    majors = []
    for distribution in metadata.distributions():
        name = str(distribution.metadata["Name"] or "").lower()
        match = re.fullmatch(r"nvidia-cuda-runtime(?:-cu(\d+))?", name)
        if match:
            majors.append(int(match.group(1) or distribution.version.partition(".")[0]))
    return majors
