"""An NNX module is measured as the Linen model of the same weights is."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from flaxact import nnx as fnnx
from flaxact.diagnostics import capture, probe
from flaxact.diagnostics import nnx as of_nnx
from flaxact.errors import InputError
from flaxact.layers import Act

X = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
LABELS = jnp.arange(6) % 3


class Here(nnx.Module):
    def __init__(self, act, rngs):
        self.dense1 = nnx.Linear(5, 4, rngs=rngs)
        self.dense2 = nnx.Linear(4, 4, rngs=rngs)
        self.logits = nnx.Linear(4, 3, rngs=rngs)
        self.act1 = fnnx.Act(act, 4, rngs=rngs)
        self.act2 = fnnx.Act(act, 4, rngs=rngs)

    def __call__(self, x):
        return self.logits(self.act2(self.dense2(self.act1(self.dense1(x)))))


class There(nn.Module):
    act: str

    @nn.compact
    def __call__(self, x):
        x = Act(self.act, name="act1")(nn.Dense(4, name="dense1")(x))
        return nn.Dense(3, name="logits")(Act(self.act, name="act2")(nn.Dense(4, name="dense2")(x)))


needs_capture = pytest.mark.skipif(
    not hasattr(nnx, "capture"), reason="nnx.capture is new in Flax 0.12.6"
)


def test_an_older_flax_is_refused_in_one_line(monkeypatch):
    monkeypatch.delattr(nnx, "capture", raising=False)
    with pytest.raises(InputError, match=r'needs flax 0.12.6 or newer.*: pip install -U "flax'):
        of_nnx.probe(Here("elu", nnx.Rngs(0)), X)


def as_linen(module):
    pure = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    return {
        "params": {k: {"activation": v["learned"]} if "act" in k else v for k, v in pure.items()}
    }


@pytest.mark.sampled(3)
@needs_capture
@pytest.mark.parametrize("act", ["elu", "prelu", "softmax"])
def test_the_sites_are_those_of_the_same_linen_net(act):
    module = Here(act, nnx.Rngs(0))
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(module)))
    captured = of_nnx.capture(module, jnp.asarray(X), LABELS)
    wanted = capture(There(act), as_linen(module), jnp.asarray(X), LABELS)
    assert set(captured.sites) == set(wanted.sites) == {"act1", "act2"}
    for name, site in wanted.sites.items():
        chex.assert_trees_all_close(captured.sites[name], site, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(captured.logits, wanted.logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        captured.gradients["dense1"]["kernel"][...],
        wanted.gradients["dense1"]["kernel"],
        rtol=1e-4,
        atol=1e-6,
    )
    chex.assert_trees_all_equal(nnx.to_pure_dict(nnx.state(module)), before)
    assert not hasattr(module.act1, "input")  # nothing is kept in it


@needs_capture
def test_the_measures_are_those_of_the_same_linen_net():
    module = Here("relu", nnx.Rngs(1))
    actual = of_nnx.probe(module, X, LABELS)
    wanted = probe(There("relu"), as_linen(module), X, LABELS)
    for site, figures in wanted.items():
        assert actual[site] == pytest.approx(figures, rel=1e-5)
    assert np.isnan(of_nnx.probe(module, X)["act1"]["gradient_norm"])
    with pytest.raises(InputError, match="unknown measure 'zeroes'; did you mean 'zeros'"):
        of_nnx.probe(module, X, measures=["zeroes"])


@needs_capture
def test_a_site_that_is_used_twice_has_the_arrays_of_both():
    class Twice(Here):
        def __call__(self, x):
            return self.logits(self.act1(self.dense2(self.act1(self.dense1(x)))))

    captured = of_nnx.capture(Twice("tanh", nnx.Rngs(0)), jnp.asarray(X), LABELS).sites
    assert list(captured) == ["act1"]
    chex.assert_shape(
        (captured["act1"].pre, captured["act1"].post, captured["act1"].slope), (6, 2, 4)
    )
    assert captured["act1"].gradient is None


@needs_capture
def test_outside_capture_an_act_keeps_nothing():
    module = Here("relu", nnx.Rngs(0))
    forward = nnx.jit(lambda m, x: m(x))
    forward(module, X)
    assert not hasattr(module.act1, "output")
    of_nnx.probe(module, X)
    chex.assert_trees_all_close(forward(module, X), module(X), rtol=1e-5)
    assert not nnx.state(module, nnx.Intermediate)
