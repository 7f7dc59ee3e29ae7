"""Nets of one's own by a path: ``--model package.module:Net``."""

import pickle
import sys

import jax
import jax.numpy as jnp
import pytest

import flaxact as fa
from flaxact import _own_code, models
from flaxact.cli import main
from flaxact.models import _catalogue, create_model
from flaxact.models._create import sites
from flaxact.studies import Study, launch

CODE = """
from collections.abc import Callable
from flax import linen as nn
from flaxact.layers import Act

class Net(nn.Module):
    '''Calls its activation as a function.'''
    act: Callable = nn.relu
    num_classes: int = 10
    hidden: int = 4

    @nn.compact
    def __call__(self, x, train=False):
        x = self.act(nn.Dense(self.hidden)(x.reshape(len(x), -1) / 255))
        return nn.Dense(self.num_classes)(self.act(x))

class InSetup(nn.Module):
    act: Callable
    num_classes: int = 10

    def setup(self):
        self.out = nn.Dense(self.num_classes)

    def __call__(self, x):
        return self.act(self.out(x.reshape(len(x), -1)))

def layered(act, num_classes=10):
    return nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(3), act, nn.Dense(num_classes)])

def with_sites(act, num_classes=10):
    return nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(3), Act(act), nn.Dense(num_classes)])

def linear(act, num_classes=10):
    return nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(num_classes)])

def nothing(act, num_classes=10):
    return 5

class NoAct(nn.Module):
    num_classes: int = 10
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A module of a user's own, in a package, as for a new process."""
    (tmp_path / "nets_of_mine").mkdir()
    (tmp_path / "nets_of_mine" / "small.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(_own_code, "names", [])
    monkeypatch.setattr(_catalogue, "paths", [])
    yield "nets_of_mine.small"
    for name in ("nets_of_mine", "nets_of_mine.small", "small"):
        sys.modules.pop(name, None)


IMAGES = jnp.ones((2, 8, 8, 1), jnp.uint8)


def made(text, act):
    net = create_model(text, act, num_classes=3)
    variables = jax.eval_shape(net.init, jax.random.key(0), IMAGES)
    return net, variables["params"]


def test_a_path_is_a_model_by_its_name(code):
    assert str(models.parse(f"{code}:Net(hidden=8)")) == "net(hidden=8)"
    assert str(models.parse("net")) == "net"
    assert Study(("relu",), f"{code}:Net").model == "net"
    assert _catalogue.paths == [f"{code}:Net"]
    assert _own_code.names == [code]
    assert str(models.parse("nets_of_mine/small.py:layered")) == "layered"


def test_an_activation_that_is_called_as_a_function_is_a_site(code):
    net, params = made(f"{code}:Net(hidden=8)", "prelu")
    assert params["Act_0"]["activation"]["negative_slope"].shape == (8,)
    assert params["Dense_1"]["kernel"].shape == (8, 3)
    assert list(sites(net, (8, 8, 1))) == ["Act_0", "Act_1"]
    for name in ("layered", "with_sites"):
        params = made(f"{code}:{name}", "prelu")[1]
        slopes = [p for layer in params.values() for p in layer.get("activation", {}).values()]
        assert [slope.shape for slope in slopes] == [(3,)]
    outside = create_model(f"{code}:Net", "elu").act(jnp.array([-1.0]))
    assert outside == fa.elu(jnp.array([-1.0]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":Nte", r"unknown class or function of nets_of_mine.small 'Nte'; did you mean 'Net'"),
        (":NoAct", "needs the arguments act and num_classes"),
        (":Net(hiden=3)", "has no argument 'hiden'; did you mean 'hidden'"),
        (":nothing", "the model 'nothing' is a int; it must be a Linen module"),
        ("er:Net", "cannot import nets_of_mine.smaller: there is no such module"),
        (":InSetup", "in a method without @nn.compact"),
    ],
)
def test_paths_refused(code, text, said):
    with pytest.raises(fa.InputError, match=said) as caught:
        made(code + text, "relu")
    assert "\n" not in str(caught.value)


def test_a_net_without_activations_is_not_compared(code):
    data = fa.data.from_arrays((jnp.zeros((20, 8, 8), jnp.uint8), [0, 1] * 10))
    recipe = fa.training.Recipe(batch_size=4)
    with pytest.raises(fa.InputError, match="the model linear applies no activation"):
        fa.studies.check(Study(("relu",), f"{code}:linear", recipe=recipe), data)
    fa.studies.check(Study(("relu",), f"{code}:layered", recipe=recipe), data)


def test_commands_take_a_path(code, capsys):
    assert main(["models", "describe", f"{code}:Net"]) == 0
    assert "Calls its activation as a function." in capsys.readouterr().out
    words = ["compare", "relu", "--model", f"{code}:Nte"]
    assert main(words) == 2
    assert "did you mean 'Net'" in capsys.readouterr().err


def test_a_job_imports_a_path(code, tmp_path, monkeypatch):
    """As in a process of its own, which knows of nothing."""
    study = Study(("relu",), f"{code}:Net")
    names = (*_own_code.names, *_catalogue.paths)
    job = pickle.dumps(launch.ActivationJob(study, tmp_path / "out", "relu", own_code=names))
    del _catalogue.own["net"], sys.modules[code]
    monkeypatch.setattr(launch, "train_activation", lambda *_: [])
    pickle.loads(job)()
    assert "net" in models.list_models()
