"""Report what this machine has for flaxact, what is missing, and what does not fit together."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packaging.requirements import Requirement

SHOWN = ("flaxact", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "libtpu")
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "jax-rocm7-plugin")
DRIVER = Path("/proc/driver/nvidia/version")
ROOM = 2e9  # bytes: an environment, checkpoints and a data set


@dataclass(frozen=True)
class Finding:
    """One line of the report: the subject, what was found, and advice if that is a problem."""

    about: str
    found: str
    advice: str = ""


def examine(data_dir: Path | None = None) -> list[Finding]:
    """All findings. Trains a small net for about a second on every kind of device.

    Args:
      data_dir: the folder of TFDS's data sets; None for FLAXACT_DATA_DIR, or else TFDS's default.
    """
    return [
        Finding("Python", f"{platform.python_version()} on {platform.platform()}"),
        *versions(_installed()),
        *requirements(_installed()),
        *devices(),
        *data_sets(data_dir),
        *caches(),
    ]


def _installed() -> dict[str, str]:
    return {
        d.metadata["Name"].lower().replace("_", "-"): d.version
        for d in importlib.metadata.distributions()
        if d.metadata["Name"]
    }


def versions(installed: dict[str, str]) -> list[Finding]:
    """Versions of the main packages, and plugins that JAX ignores because their versions differ.

    Args:
      installed: version by package name.

    >>> for finding in versions({"jax": "0.12.0", "jaxlib": "0.12.0", "jax-cuda12-plugin": "0.7.2"}):
    ...     print(finding.about, finding.found, finding.advice)
    jax 0.12.0
    jaxlib 0.12.0
    jax-cuda12-plugin 0.7.2 JAX 0.12.0 does not use it, nor the GPU: pip install "jax[cuda12]==0.12.0"
    """
    findings = [Finding(name, installed[name]) for name in SHOWN if name in installed]
    jax = installed.get("jax", "")
    if (jaxlib := installed.get("jaxlib")) and jaxlib != jax:
        findings.append(
            Finding(
                "jaxlib", f"{jaxlib}, jax is {jax}", f'pip install "jax=={jax}" "jaxlib=={jax}"'
            )
        )
    for name in PLUGINS:
        if name in installed:
            extra = name.split("-")[1]
            fits = installed[name] == installed.get("jaxlib")
            advice = f'JAX {jax} does not use it, nor the GPU: pip install "jax[{extra}]=={jax}"'
            findings.append(Finding(name, installed[name], "" if fits else advice))
    return findings


def requirements(installed: dict[str, str]) -> list[Finding]:
    """Required packages that are missing or have another version, and optional ones that are missing."""
    from packaging.requirements import Requirement  # here, as every command imports this module

    required = [Requirement(text) for text in importlib.metadata.requires("flaxact") or ()]
    findings = []
    absent = set()
    for requirement in required:
        name = requirement.name.lower().replace("_", "-")
        marker = str(requirement.marker or "")
        version = installed.get(name)
        if "extra" in marker:
            if version is None and (requirement.marker is None or _applies(requirement)):
                absent.add(marker.split("extra ==")[1].strip(" '\""))
        elif version is None:
            findings.append(Finding(name, "absent", f'pip install "{requirement}"'))
        elif version not in requirement.specifier:
            advice = f'flaxact asks for {requirement}: pip install "{requirement}"'
            findings.append(Finding(name, version, advice))
    extras = ", ".join(sorted(absent)) or "none"
    return [*findings, Finding("extras that are not (wholly) installed", extras)]


def _applies(requirement: Requirement) -> bool:
    assert requirement.marker is not None
    extra = str(requirement.marker).split("extra ==")[1].strip(" '\"")
    return requirement.marker.evaluate({"extra": extra})


def devices() -> list[Finding]:
    """JAX's devices, with a small training on each kind, and accelerators that JAX does not use."""
    import jax

    platforms = os.environ.get("JAX_PLATFORMS", "")
    if problem := no_devices():
        return [problem]
    default = jax.default_backend()
    findings = []
    for backend in dict.fromkeys((default, "cpu")):
        try:
            of_backend = jax.devices(backend)
        except RuntimeError:
            continue  # JAX_PLATFORMS leaves the CPU out
        seconds, problem = _smoke(of_backend[0])
        text = f"{len(of_backend)} × {of_backend[0].device_kind}, a small training took {seconds:.1f} s"
        findings.append(Finding(f"{backend} devices", text, problem))
    return [*findings, *unused(default, platforms, _hardware())]


def no_devices() -> Finding | None:
    """The problem if JAX has no device of the kind that JAX_PLATFORMS requests, else None."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # without a word for cuda
        platforms = os.environ.get("JAX_PLATFORMS", "")
        extra = {"tpu": "tpu", "cuda": "gpu", "gpu": "gpu"}.get(platforms)
        install = f', or pip install "flaxact[{extra}]" where there is one' if extra else ""
        text = f"JAX_PLATFORMS={platforms}, and JAX finds no such device here"
        return Finding("devices", text, f"unset it to use what there is{install}")
    return None


def _hardware() -> list[str]:
    """Accelerators that the operating system reports."""
    kinds = []
    if DRIVER.exists() or shutil.which("nvidia-smi"):
        kinds.append("gpu")
    if any(Path("/dev").glob("accel*")) or os.environ.get("TPU_NAME"):
        kinds.append("tpu")
    return kinds


def unused(default: str, platforms: str, hardware: list[str]) -> list[Finding]:
    """Accelerators of the machine that JAX does not use.

    Args:
      default: JAX's default backend.
      platforms: the value of JAX_PLATFORMS.
      hardware: "gpu", "tpu" or both, as the operating system reports them.

    >>> unused("cpu", "", ["tpu"])[0].advice
    'pip install "flaxact[tpu]"'
    """
    findings = []
    for kind in hardware:
        if default != kind:
            extra = cuda_extra(DRIVER) if kind == "gpu" else kind
            advice = f'pip install "flaxact[{extra}]"'
            if platforms and kind not in platforms and not (kind == "gpu" and "cuda" in platforms):
                advice = f"JAX_PLATFORMS={platforms} leaves it out: unset it"
            findings.append(Finding(kind, "the machine has one, and JAX does not use it", advice))
    return findings


def cuda_extra(file: Path) -> str:
    """The extra whose CUDA the driver supports, from the driver's file: CUDA 13 from driver 580 on.

    Args:
      file: the driver's version file; if it does not exist, a new driver is assumed.
    """
    text = file.read_text("utf-8") if file.exists() else ""
    version = re.search(r" (\d{3,})\.\d+", text)
    return "cuda12" if version and int(version[1]) < 580 else "cuda13"


def _smoke(device: Any) -> tuple[float, str]:
    """The seconds that a small training takes on a device, and the problem with its result, if any."""
    import numpy as np

    from flaxact.data import Dataset, Split
    from flaxact.models import create_model
    from flaxact.net import from_linen
    from flaxact.training import Recipe, train

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 256).astype(np.int32)
    patterns = rng.integers(0, 200, (2, 8, 8, 1))
    images = (patterns[labels] + rng.integers(0, 50, (256, 8, 8, 1))).astype(np.uint8)
    split = Split(images, labels)
    data = Dataset(
        "two patterns", split, split, 2, class_names=("one", "other"), note="made by doctor"
    )
    net = from_linen(create_model("mlp(width=0.1)", "relu", num_classes=2))
    start = time.perf_counter()
    try:
        recipe = Recipe(epochs=5, batch_size=16, learning_rate=0.1)
        *_, last = train(net, recipe, data, [0], devices=[device])
    except Exception as error:  # whatever the backend raises is what the user should see
        return time.perf_counter() - start, f"training fails: {str(error).splitlines()[0][:200]}"
    error = float(last.test_error[0])
    wrong = "" if error < 0.2 else f"training does not learn: test error {error:.0%} in place of 0%"
    return time.perf_counter() - start, wrong


def data_sets(data_dir: Path | None) -> list[Finding]:
    """The data sets that TFDS has prepared."""
    setting = data_dir or os.environ.get("FLAXACT_DATA_DIR")
    folder = Path(setting) if setting else Path.home() / "tensorflow_datasets"
    prepared = [*folder.glob("*/*/dataset_info.json"), *folder.glob("*/*/*/dataset_info.json")]
    names = sorted({path.relative_to(folder).parts[0] for path in prepared})
    finding = Finding(
        "data sets", f"mnist5k (in the package); in {folder}: {', '.join(names) or 'none'}"
    )
    return [finding]


def caches() -> list[Finding]:
    """Where compiled programs are kept, and how much room the disk has."""
    from flaxact.training.distributed import CACHE, keep_programs

    cache = keep_programs()
    free = shutil.disk_usage(Path.cwd()).free
    advice = "" if free > ROOM else "make room: data sets and checkpoints may not fit"
    return [
        Finding("compilation cache", str(cache or f"none ({CACHE}={os.environ.get(CACHE, '')})")),
        Finding("disk", f"{free / 1e9:.0f} GB free in {Path.cwd()}", advice),
    ]


def show(data_dir: Path | None = None) -> None:
    """Print all findings, as for the first cell of a notebook.

    Args:
      data_dir: as for ``examine``.
    """
    _print(examine(data_dir))


def _print(found: list[Finding]) -> None:
    for finding in found:
        print(f"{finding.about}: {finding.found}")
        if finding.advice:
            print(f"  PROBLEM: {finding.advice}")


def doctor(*, json: bool = False, data_dir: Path | None = None) -> None:
    """Report what this machine has for flaxact and what is missing; exits 1 if there is a problem.

    Args:
      json: Print the findings as JSON.
      data_dir: Folder of TFDS's data sets.
    """
    findings = examine(data_dir)
    if json:
        import dataclasses
        from json import dumps

        print(dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        _print(findings)
    if any(finding.advice for finding in findings):
        raise SystemExit(1)
