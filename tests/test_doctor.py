"""``flaxact doctor``: what it says of this machine, and of machines that have what does not fit."""

import json

import pytest

from flaxact import cli, doctor

FITTING = {"flaxact": "0.1.0", "jax": "0.10.2", "jaxlib": "0.10.2"}


def advised(findings):
    return [finding.advice for finding in findings if finding.advice]


def test_this_machine_has_what_flaxact_needs(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    about = [finding["about"] for finding in findings]
    assert {"Python", "flaxact", "jax", "data sets", "disk"} <= set(about)
    assert any(line.endswith(" devices") for line in about)
    assert not [finding["advice"] for finding in findings if finding["advice"]]


def test_a_device_on_which_training_fails_is_told(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_smoke", lambda device: (0.1, "training fails: out of memory"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor"])
    assert stop.value.code == 1
    assert "PROBLEM: training fails: out of memory" in capsys.readouterr().out


@pytest.mark.parametrize("plugin", doctor.PLUGINS)
def test_a_plugin_of_another_version_is_told(plugin):
    assert not advised(doctor.versions(FITTING | {plugin: "0.10.2"}))
    (advice,) = advised(doctor.versions(FITTING | {plugin: "0.7.2"}))
    assert "does not use it" in advice
    assert f"jax[{plugin.split('-')[1]}]==0.10.2" in advice


def test_jaxlib_of_another_version_is_told():
    (advice,) = advised(doctor.versions(FITTING | {"jaxlib": "0.9.0"}))
    assert advice == 'pip install "jax==0.10.2" "jaxlib==0.10.2"'


def test_an_absent_or_old_package_is_told():
    installed = doctor._installed()
    assert not advised(doctor.requirements(installed))
    assert (
        'pip install "optax'
        in advised(doctor.requirements(installed | {"optax": "0.0.1"}))[0].split(": ")[-1]
    )
    del installed["optax"]
    (advice,) = advised(doctor.requirements(installed))
    assert advice.startswith('pip install "optax')


@pytest.mark.parametrize("kind", ["gpu", "tpu"])
def test_an_accelerator_that_jax_does_not_use_is_told(kind):
    assert not doctor.unused(kind, "", [kind])
    extra = doctor.cuda_extra(doctor.DRIVER) if kind == "gpu" else kind
    assert advised(doctor.unused("cpu", "", [kind])) == [f'pip install "flaxact[{extra}]"']
    assert advised(doctor.unused("cpu", "cpu", [kind])) == [
        "JAX_PLATFORMS=cpu leaves it out: unset it"
    ]


def test_prepared_data_sets_are_found(tmp_path):
    for name in ("mnist/3.0.1", "cars/plain/1.0.0"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "dataset_info.json").write_text("{}")
    (found,) = doctor.data_sets(tmp_path)
    assert found.found.endswith(f"in {tmp_path}: cars, mnist")


@pytest.mark.parametrize(("version", "extra"), [("550.54.15", "cuda12"), ("580.65.06", "cuda13")])
def test_the_extra_for_a_gpu_follows_its_driver(tmp_path, version, extra):
    file = tmp_path / "version"
    file.write_text(f"NVRM version: NVIDIA UNIX Kernel Module  {version}  Wed Feb 14\nGCC 13.2.0\n")
    assert doctor.cuda_extra(file) == extra
    assert doctor.cuda_extra(tmp_path / "absent") == "cuda13"
