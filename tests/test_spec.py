"""Names, spec texts and values: what `get`, `bind` and the decorator take and refuse."""

import copy
import math
import pickle
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flaxact as fa
from flaxact import spec_text

finite = st.floats(min_value=1e-3, max_value=1e3)
simple = st.one_of(
    st.sampled_from(fa.names("pointwise")),
    finite.map(lambda a: f"elu(alpha={a})"),
    finite.map(lambda s: f"leaky_relu({s})"),
)
specs = st.recursive(
    simple,
    lambda inner: st.builds("scaled({}, output={}, input={})".format, inner, finite, finite),
    max_leaves=3,
)


@given(specs)
def test_text_and_value_round_trip(text):
    activation = fa.get(text)
    again = fa.get(str(activation))
    assert again == activation
    assert hash(again) == hash(activation)
    assert fa.get(activation) is activation
    assert pickle.loads(pickle.dumps(activation)) == activation
    assert copy.deepcopy(activation) == activation


def test_the_ways_to_say_the_same():
    centered = fa.get("centered(relu)")
    assert centered == fa.centered(fa.relu) == fa.centered("relu") == fa.bind(centered)
    assert hash(centered) == hash(fa.centered(fa.relu))
    assert fa.get("elu(0.5)") == fa.get(" elu( alpha = 5e-1 ) ") == fa.bind(fa.elu, alpha=0.5)
    assert fa.get("elu(alpha=1)") == fa.get("elu") == fa.get(fa.elu)
    assert fa.get("swish") == fa.get("silu")
    assert fa.bind("elu(alpha=0.5)", alpha=1.0) == fa.get("elu")
    assert fa.get("elu(alpha=0.5)") != fa.get("elu")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rleu", "unknown activation 'rleu'; did you mean 'relu'"),
        ("elu(alhpa=1)", "elu has no hyperparameter 'alhpa'; did you mean 'alpha'"),
        ("relu(slope=1)", "It takes: none"),
        ("elu(alpha=-1)", "elu needs alpha > 0, not -1.0"),
        ("elu(1, 2)", "elu takes 1 hyperparameters"),
        ("elu(1, alpha=2)", "elu is given alpha twice"),
        ("elu(alpha=1, alpha=2)", "gives alpha twice"),
        ("elu(alpha=relu)", "elu needs a number as alpha, not relu"),
        ("elu(alpha=True)", "elu needs a number as alpha, not True"),
        ("elu(alpha=1e999)", "a number is too large in"),
        ("gelu(approximate=1)", "gelu needs True or False as approximate, not 1"),
        ("centered", "centered needs activation, as in centered\\(relu\\)"),
        ("centered(3)", "centered needs an activation"),
        ("centered(relu, std=0)", "centered needs std > 0, not 0.0"),
        ("centered(rleu)", "did you mean 'relu'"),
        ("elu(", "only names, numbers and brackets"),
        ("elu)x", "only names, numbers and brackets"),
        ("elu(alpha=0.5", "only names, numbers and brackets"),
        ("elu(,)", "only names, numbers and brackets"),
        ("elu(alpha=0.5 1)", "only names, numbers and brackets"),
        ("elu(alpha=1, 2)", "a positional value follows a named one"),
        ("elu('1')", "only names, numbers and brackets"),
        ("elu([1])", "only names, numbers and brackets"),
        ("elu(1j)", "unknown activation '1j'"),
        ("elu(-relu)", "only names, numbers and brackets"),
        ("elu(nan)", "unknown activation 'nan'"),
        ("gelu(approximate=tanh)", "gelu needs True or False as approximate, not tanh"),
        ("softmax(axis=1.0)", "softmax needs a whole number as axis, not 1.0"),
        ("maxout(pieces=True)", "maxout needs a whole number as pieces, not True"),
        ("k_winners(density=2)", "k_winners needs density from 0 to 1, not 2.0"),
        ("__import__('os')", "only names, numbers and brackets"),
        ("relu.x", "only names, numbers and brackets"),
        ("", "only names, numbers and brackets"),
        ("3", "is not a name"),
    ],
)
def test_refusals_say_what_is_allowed(text, said):
    with pytest.raises(fa.InputError, match=said) as caught:
        fa.get(text)
    assert "\n" not in str(caught.value)


NUMBERS = [
    (name, parameter.name)
    for name in fa.names()
    for parameter in fa.get(name).spec.hyperparameters.values()
    if type(parameter.default) is float
]


STATIC = [
    (name, hyperparameter)
    for name, hyperparameter in NUMBERS
    if hyperparameter in fa.get(name).spec.static
]


@pytest.mark.parametrize(("name", "hyperparameter"), NUMBERS)
def test_a_call_refuses_what_is_no_real_number_or_array(name, hyperparameter):
    x = jnp.ones((2, 8))
    for bad in ("1", 1j, [0.5], True, {}, jnp.array(1j), np.array("1"), math.sin, jnp.array(True)):
        with pytest.raises(
            fa.InputError, match=f"{name} (takes|needs) a .*number.* as {hyperparameter}, not"
        ):
            getattr(fa, name)(x, **{hyperparameter: bad})
    for shape in ((3,), (3, 8), (1, 2, 8)) if (name, hyperparameter) not in STATIC else ():
        message = (
            rf"{name}: {hyperparameter} of shape \({shape[0]},.* does not broadcast to \(2, 8\)"
        )
        with pytest.raises(fa.InputError, match=message):
            getattr(fa, name)(x, **{hyperparameter: jnp.ones(shape)})
    with pytest.raises(fa.InputError, match=f"unknown parameter of {name} '{hyperparameter}s'"):
        getattr(fa, name)(x, **{f"{hyperparameter}s": 1.0})


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        call = spec_text.parse(text)
    except fa.InputError:
        return
    assert spec_text.parse(str(call)) == call


def test_functions_that_are_not_ours():
    with pytest.raises(fa.InputError, match="define the function with @flaxact"):
        fa.get(math.sin)


@pytest.mark.parametrize("name", [*fa.names(), *fa.names("transform")])
def test_everything_is_an_attribute_and_describes_itself(name):
    assert callable(getattr(fa, name))
    assert name in dir(fa)
    text = fa.describe(name)
    assert text.startswith(f"{name}: ")
    assert "formula" in text


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="rleu"):
        fa.rleu  # noqa: B018


@pytest.mark.parametrize(
    "statement",
    [
        "flaxact.describe('elu'), flaxact.names(), flaxact.get('centered(relu)'), flaxact.cite('elu')",
        "flaxact.cli.main(['list'])",
        "flaxact.cli.main(['compare', 'rleu'])",
        "flaxact.cli.main(['compare', 'relu', '--model', 'cuda'])",
        "flaxact.cli.main(['compare', 'relu', '--dataset', 'mnits'])",
        "flaxact.cli.main(['compare', 'relu', '--tune', 'lr=1..2'])",
    ],
)
def test_facts_and_refusals_import_nothing_heavy(statement):
    heavy = {
        "jax",
        "flax",
        "optax",
        "numpy",
        "scipy",
        "matplotlib",
        "tensorflow_datasets",
        "pandas",
    }
    script = f"import sys, flaxact, flaxact.cli; {statement}; print(sorted({heavy!r} & {{*sys.modules}}))"
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines()[-1] == "[]"
