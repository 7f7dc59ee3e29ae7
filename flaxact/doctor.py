"""What this machine has for flaxact, and what is missing or does not fit together."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

SHOWN = ("flaxact", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "libtpu")
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "jax-rocm7-plugin")
DRIVER = Path("/proc/driver/nvidia/version")
ROOM = 2e9  # bytes: an environment, checkpoints and a data set


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what was found, and what to do if that is wrong."""

    about: str
    found: str
    advice: str = ""


def examine(data_dir: Path | None = None) -> list[Finding]:
    """All findings. Trains a small net for about a second on every kind of device.

    Args:
      data_dir: where TFDS keeps its data sets; None for FLAXACT_DATA_DIR or TFDS's own place.
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
    """Versions of what matters most, and what JAX will not use because its version differs.

    Args:
      installed: version by name of package.

    >>> for finding in versions({"jax": "0.12.0", "jaxlib": "0.12.0", "jax-cuda12-plugin": "0.7.2"}):
    ...     print(finding.about, finding.found, finding.advice)
    jax 0.12.0
    jaxlib 0.12.0
    jax-cuda12-plugin 0.7.2 JAX 0.12.0 does not use it, nor the GPU: pip install "jax[cuda12]==0.12.0"
    """
    found = [Finding(name, installed[name]) for name in SHOWN if name in installed]
    jax = installed.get("jax", "")
    if (jaxlib := installed.get("jaxlib")) and jaxlib != jax:
        found.append(
            Finding(
                "jaxlib", f"{jaxlib}, jax is {jax}", f'pip install "jax=={jax}" "jaxlib=={jax}"'
            )
        )
    for name in PLUGINS:
        if name in installed:
            extra = name.split("-")[1]
            fits = installed[name] == installed.get("jaxlib")
            advice = f'JAX {jax} does not use it, nor the GPU: pip install "jax[{extra}]=={jax}"'
            found.append(Finding(name, installed[name], "" if fits else advice))
    return found


def requirements(installed: dict[str, str]) -> list[Finding]:
    """What flaxact asks for and is absent or of another version; absent extras without advice."""
    asked = [Requirement(text) for text in importlib.metadata.requires("flaxact") or ()]
    found = []
    absent = set()
    for one in asked:
        name = one.name.lower().replace("_", "-")
        marker = str(one.marker or "")
        version = installed.get(name)
        if "extra" in marker:
            if version is None and (one.marker is None or _applies(one)):
                absent.add(marker.split("extra ==")[1].strip(" '\""))
        elif version is None:
            found.append(Finding(name, "absent", f'pip install "{one}"'))
        elif version not in one.specifier:
            found.append(Finding(name, version, f'flaxact asks for {one}: pip install "{one}"'))
    said = ", ".join(sorted(absent)) or "none"
    return [*found, Finding("extras that are not (wholly) installed", said)]


def _applies(one: Requirement) -> bool:
    assert one.marker is not None
    extra = str(one.marker).split("extra ==")[1].strip(" '\"")
    return one.marker.evaluate({"extra": extra})


def devices() -> list[Finding]:
    """The devices that JAX has, with a small training on each kind, and accelerators it does not use."""
    import jax

    asked = os.environ.get("JAX_PLATFORMS", "")
    if problem := no_devices():
        return [problem]
    default = jax.default_backend()
    found = []
    for backend in dict.fromkeys((default, "cpu")):
        try:
            those = jax.devices(backend)
        except RuntimeError:
            continue  # JAX_PLATFORMS leaves the CPU out
        seconds, problem = _smoke(those[0])
        text = f"{len(those)} × {those[0].device_kind}, a small training took {seconds:.1f} s"
        found.append(Finding(f"{backend} devices", text, problem))
    return [*found, *unused(default, asked, _hardware())]


def no_devices() -> Finding | None:
    """What is wrong where JAX has no device of the kind that JAX_PLATFORMS asks for, or None."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # without a word for cuda
        asked = os.environ.get("JAX_PLATFORMS", "")
        extra = {"tpu": "tpu", "cuda": "gpu", "gpu": "gpu"}.get(asked)
        install = f', or pip install "flaxact[{extra}]" where there is one' if extra else ""
        text = f"JAX_PLATFORMS={asked}, and JAX finds no such device here"
        return Finding("devices", text, f"unset it to use what there is{install}")
    return None


def _hardware() -> list[str]:
    """Accelerators that the operating system shows."""
    seen = []
    if DRIVER.exists() or shutil.which("nvidia-smi"):
        seen.append("gpu")
    if any(Path("/dev").glob("accel*")) or os.environ.get("TPU_NAME"):
        seen.append("tpu")
    return seen


def unused(default: str, asked: str, hardware: list[str]) -> list[Finding]:
    """Accelerators of the machine that JAX does not use.

    Args:
      default: JAX's default backend.
      asked: what JAX_PLATFORMS says.
      hardware: "gpu", "tpu" or both, as the operating system shows them.

    >>> unused("cpu", "", ["tpu"])[0].advice
    'pip install "flaxact[tpu]"'
    """
    found = []
    for kind in hardware:
        if default != kind:
            extra = cuda_extra(DRIVER) if kind == "gpu" else kind
            advice = f'pip install "flaxact[{extra}]"'
            if asked and kind not in asked and not (kind == "gpu" and "cuda" in asked):
                advice = f"JAX_PLATFORMS={asked} leaves it out: unset it"
            found.append(Finding(kind, "the machine has one, and JAX does not use it", advice))
    return found


def cuda_extra(file: Path) -> str:
    """The extra whose CUDA the driver can run, from the driver's file: 13 from version 580 on.

    Args:
      file: what the driver says of itself; where there is none, a new driver is taken.
    """
    said = file.read_text("utf-8") if file.exists() else ""
    version = re.search(r" (\d{3,})\.\d+", said)
    return "cuda12" if version and int(version[1]) < 580 else "cuda13"


def _smoke(device: Any) -> tuple[float, str]:
    """Seconds that a small training takes on a device, and what is wrong with its result."""
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
    """The sets that TFDS has prepared."""
    said = data_dir or os.environ.get("FLAXACT_DATA_DIR")
    folder = Path(said) if said else Path.home() / "tensorflow_datasets"
    prepared = [*folder.glob("*/*/dataset_info.json"), *folder.glob("*/*/*/dataset_info.json")]
    names = sorted({path.relative_to(folder).parts[0] for path in prepared})
    found = Finding(
        "data sets", f"mnist5k (in the package); in {folder}: {', '.join(names) or 'none'}"
    )
    return [found]


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
    """Say what this machine has for flaxact, and what is missing; exit 1 where something is wrong.

    Args:
      json: Print the findings as JSON.
      data_dir: Where TFDS keeps its data sets.
    """
    found = examine(data_dir)
    if json:
        import dataclasses
        from json import dumps

        print(dumps([dataclasses.asdict(finding) for finding in found], indent=1))
    else:
        _print(found)
    if any(finding.advice for finding in found):
        raise SystemExit(1)
