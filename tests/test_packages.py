"""What is said where a package is absent, that only some parts need."""

import importlib
import importlib.metadata
import sys
import tomllib
import types
from pathlib import Path

import pytest

import flaxact as fa
from flaxact import _packages, data
from flaxact.studies import _frames

# Each is imported by some parts alone, and comes with flaxact or with one of its extras.
OPTIONAL = ("PIL", "array_record", "bokeh", "grain", "jinja2", "latex2mathml", "matplotlib", "pandas",
            "safetensors", "scipy", "submitit", "tensorboardX", "tensorflow_datasets",
            "torch")  # fmt: skip


PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))[
    "project"
]


@pytest.fixture(autouse=True)
def _metadata(monkeypatch):
    """The metadata of the project as it is now, whatever was installed when."""
    lines = [*PROJECT["dependencies"]]
    for extra, requirements in sorted(PROJECT["optional-dependencies"].items()):
        lines += [f'{line.partition(";")[0]}; extra == "{extra}"' for line in requirements]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)


@pytest.mark.parametrize("module", OPTIONAL)
def test_what_to_install_is_said(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with (
        pytest.raises(fa.InputError, match='which is not installed: pip install "') as raised,
        _packages.explained(),
    ):
        importlib.import_module(module)
    package = {"PIL": "pillow"}.get(module, module.replace("_", "-"))
    extras = [
        f"flaxact[{extra}]"
        for extra, lines in PROJECT["optional-dependencies"].items()
        if extra != "tests" and any(line.startswith(package) for line in lines)
    ]
    assert f"this needs {package}," in str(raised.value)
    assert any(said in str(raised.value) for said in extras or [f'install "{package}>='])


def test_other_packages_are_none_of_ours(monkeypatch):
    monkeypatch.setitem(sys.modules, "their_package", None)
    with pytest.raises(ModuleNotFoundError, match="their_package"), _packages.explained():
        import their_package  # noqa: F401


@pytest.fixture
def prepared(tmp_path):
    (tmp_path / "toy" / "1.0.0").mkdir(parents=True)
    (tmp_path / "toy" / "1.0.0" / "dataset_info.json").write_text("{}", "utf-8")
    return tmp_path


def test_data_sets_without_tfds(prepared, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert len(data.load().test.labels) == 1000  # of the embedded set nothing is missing
    for call in (
        lambda: data.load("toy", data_dir=prepared),
        lambda: data.open_stream("toy", batch_size=2, image_size=8, data_dir=prepared),
        lambda: data.check("nothing_like_it", data_dir=prepared),
    ):
        with pytest.raises(
            fa.InputError, match="this needs tensorflow-datasets, which is not inst"
        ):
            call()


def test_data_sets_with_a_tfds_that_cannot_import_itself(prepared, monkeypatch):
    """It logs what went wrong, and leaves a module that lacks what comes later."""
    half = types.ModuleType("tensorflow_datasets")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", half)
    for call in (
        lambda: data.load("toy", data_dir=prepared),
        lambda: data.check("nothing_like_it", data_dir=prepared),
    ):
        with pytest.raises(fa.InputError, match="tensorflow-datasets cannot import all of itself"):
            call()


def test_pictures_without_matplotlib(monkeypatch):
    from flaxact.diagnostics import pictures

    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(fa.InputError, match="this needs matplotlib, which is not installed"):
        pictures.card("relu")


def test_data_frames_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(fa.InputError, match=r'needs pandas.*pip install "flaxact\[pandas\]"'):
        _frames.by_epoch(types.SimpleNamespace(runs=()))
