"""A hyperparameter is the same as a number and as an array, and has one domain, wherever it is given."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import flaxact as fa
from flaxact.activations._spec import catalogue, takes_activation
from flaxact.layers import Act
from flaxact.net import from_linen
from flaxact.training import Member
from flaxact.training._swept import check_swept
from tests.quick import derivatives

NAMES = (*fa.names(), *fa.names("transform"))
PERIODIC = {"finer", "sine", "siren", "snake", "snake_beta"}  # which have no limit at infinity
INNER = {"tailored_dks": "tanh", "tailored_tat": "tanh"}  # which take a smooth activation


def made(name):
    """The activation, a transform of an ELU."""
    inner = [p for p in catalogue[name].hyperparameters.values() if takes_activation(p)]
    inner_text = ", ".join([INNER.get(name, "elu")] * len(inner))
    return fa.get(f"{name}({inner_text})" if inner_text else name)


def floats(name):
    defaults = made(name).hyperparameters
    return [h for h, default in defaults.items() if isinstance(default, float)]


def variable(name):
    """The hyperparameters that may be arrays, learned ones too."""
    return [h for h in floats(name) if h not in catalogue[name].static]


def moved(name, factor=1.25):
    """Every hyperparameter at another value that float32 has exactly."""
    spec = catalogue[name]
    collected = {}
    for h in variable(name):
        value = factor * made(name).hyperparameters[h] or 0.25
        value = max(value, 1.25) if h in spec.above_one else value
        collected[h] = float(np.float32(min(value, 0.75) if h in spec.unit else value))
    return collected


EVERY = [(name, h) for name in NAMES for h in floats(name)]
FREE = [(name, h) for name in NAMES for h in variable(name)]
FIXED = [(name, h) for name, h in EVERY if (name, h) not in FREE]
ENDS = (0.0, 1e-8, 0.3, 1.0, 2.5, 20.0, 90.0, 1e4)
FAR = (1e30, float(jnp.finfo(jnp.bfloat16).max), math.inf)


def inputs(name, numbers, dtype):
    places = [*ENDS, *(() if name in PERIODIC else FAR)]
    coupled = catalogue[name].coupled
    breaks = [] if coupled else [b for n in numbers for b in fa.bind(made(name), **n).breaks]
    x = np.array(sorted({*places, *(-p for p in places), *breaks}), np.float64)
    # Of one size, so that operations are compiled once.
    return jnp.asarray(np.resize(x[abs(x) < 1e4], (8, 4)) if coupled else np.resize(x, 40), dtype)


def to_second_order(function):
    """Value, both derivatives by forward mode, and the gradient."""

    def found(x):
        back = jax.grad(lambda x: function(x).astype(jnp.float32).sum())(x)
        return (*derivatives(function, 2)(x), back)

    return found


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", [n for n in NAMES if variable(n)])
def test_an_array_gives_the_values_and_derivatives_of_the_number(name):
    """Where it starts in float32, elsewhere in both dtypes; at kinks, at 0, at ±∞ and before."""
    start = {h: float(np.float32(made(name).hyperparameters[h])) for h in variable(name)}
    numbers = [start, moved(name)]
    for given, dtype in (
        (numbers[0], "float32"),
        (numbers[1], "float32"),
        (numbers[1], "bfloat16"),
    ):
        x = inputs(name, numbers, dtype)
        arrays = {h: jnp.float32(value) for h, value in given.items()}
        by_arrays = functools.partial(made(name), **arrays)
        with jax.disable_jit():  # nothing is compiled but single operations, which others share
            wanted, actual = (
                [np.asarray(part, np.float64) for part in to_second_order(f)(x)]
                for f in (fa.bind(made(name), **given), by_arrays)
            )
        finite = np.isfinite(wanted[0]) & np.isfinite(wanted[1])
        eps = 2e-5 if dtype == "float32" else 0.05
        for order, (one, other) in enumerate(zip(actual, wanted, strict=True)):
            assert not np.isnan(one[~np.isnan(other)]).any()
            place = finite if order == 2 else ...  # of what has overflowed there is none to compare
            np.testing.assert_allclose(
                one[place],
                other[place],
                rtol=eps,
                atol=eps / 2,
                err_msg=f"{order}, {given}, {dtype}",
            )


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", [n for n in NAMES if variable(n) and n not in PERIODIC])
def test_no_derivative_by_an_array_is_nan(name):
    """Of first and second order, by it and by the input, up to ±∞, where the value is finite."""
    values = moved(name, 0.5)
    activation = made(name)
    x = inputs(name, [values], "float32")
    shape = () if catalogue[name].coupled else x.shape
    arrays = {h: jnp.full(shape, value, jnp.float32) for h, value in values.items()}

    def slopes(x, arrays):
        return jax.grad(lambda arrays: activation(x, **arrays).sum())(arrays)

    def total(x, arrays):
        return sum(leaf.sum() for leaf in jax.tree.leaves(slopes(x, arrays)))

    with jax.disable_jit():
        value = activation(x, **arrays)
        first = slopes(x, arrays)
        second = jax.grad(total, (0, 1))(x, arrays)
    finite = ... if catalogue[name].coupled else np.isfinite(value)
    for leaf in jax.tree.leaves(first):
        assert not np.isnan(leaf[finite]).any()
    # Quotients of the input by their hyperparameter overflow before it does, and ∞ - ∞ is nan.
    finite = finite & (abs(x) < 1e30) if name in ("pelu", "prelu") else finite
    for leaf in jax.tree.leaves(second):
        assert not np.isnan(leaf[finite]).any()


class Site(nn.Module):
    """One activation, as a net."""

    act: fa.Activation

    @nn.compact
    def __call__(self, x):
        return Act(self.act)(x)


X = jnp.ones((2, 8))
HUGE = 10**5000


def calls(name, given):
    """The ways to give hyperparameters, by name."""
    activation = made(name)
    inner = map(str, made(name).inner.values())
    digits = {h: "1" + 400 * "0" if v == HUGE else v for h, v in given.items()}
    text = ", ".join([*inner, *(f"{h}={v}" for h, v in digits.items())])
    swept = all(h in activation.continuous for h in given)
    member = lambda: Member(hyperparameters=tuple(given.items()))  # noqa: E731
    net = from_linen(Site(activation), tuple(given))
    actual = {
        "call": lambda: activation.spec.function(X, **activation.inner, **given),
        "value": lambda: activation(X, **given),
        "traced": lambda: jax.eval_shape(lambda x: activation(x, **given), X),
        "bind": lambda: fa.bind(activation, **given),
        "spec": lambda: fa.get(f"{name}({text})"),
    }
    return actual | ({"member": lambda: check_swept(net, [member()], X)} if swept else {})


def outside(name):
    spec = catalogue[name]
    kinds = {h: type(spec.hyperparameters[h].default) for h in spec.positive}
    actual = [{h: kind(value)} for h, kind in kinds.items() for value in (-1, 0)]
    actual += [{h: 1.5} for h in spec.unit]
    if spec.ordered:
        defaults = made(name).hyperparameters
        low, high = spec.ordered
        actual.append({low: defaults[high] + 1})
    return actual


OUTSIDE = [(name, given) for name in NAMES for given in outside(name)]


@pytest.mark.sampled(7)
@pytest.mark.parametrize(("name", "given"), OUTSIDE, ids="".join)
def test_what_is_out_of_its_domain_is_refused_everywhere(name, given):
    for way, call in calls(name, given).items():
        with pytest.raises(fa.InputError, match=rf"^{name} needs .*{next(iter(given))}") as caught:
            call()
        assert "\n" not in str(caught.value), way


@pytest.mark.sampled(7)
@pytest.mark.parametrize(("name", "hyperparameter"), EVERY)
def test_no_infinite_number_nor_one_too_large_for_a_float(name, hyperparameter):
    for bad in (math.inf, math.nan, HUGE):
        for way, call in calls(name, {hyperparameter: bad}).items():
            if way == "spec" and bad != HUGE:
                continue  # no number in a text
            with pytest.raises(fa.InputError):
                call()


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", [n for n in NAMES if catalogue[n].hyperparameters])
def test_scalars_of_numpy_are_the_numbers(name):
    activation = made(name)
    for h, default in activation.hyperparameters.items():
        if not isinstance(default, bool | int | float):
            continue
        kinds = {
            bool: (np.bool_,),
            int: (np.int64, np.int32),
            float: (np.float64, np.float32, np.float16),
        }
        for kind in kinds[type(default)]:
            value = kind(default)
            wanted = fa.bind(activation, **{h: value.item()})
            assert fa.bind(activation, **{h: value}) == wanted
            assert type(wanted.hyperparameters[h]) is type(default)
            learned = activation.parameters(8, jax.random.key(0)) if "reduction" in h else {}
            jax.eval_shape(lambda x, g={h: value} | learned: activation(x, **g), X)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("name", "hyperparameter"), FIXED)
def test_what_must_be_a_number_refuses_arrays_everywhere(name, hyperparameter):
    activation = made(name)
    for array in (jnp.float32(0.5), np.ones(8, np.float32)):
        with pytest.raises(fa.InputError, match=f"^{name} needs a number as {hyperparameter}, not"):
            activation(X, **{hyperparameter: array})
    message = f"^{name} needs a number as {hyperparameter}, not"
    with pytest.raises(fa.InputError, match=message):
        jax.jit(lambda value: activation(X, **{hyperparameter: value}))(0.5)
    net = from_linen(Site(activation), (hyperparameter,))
    with pytest.raises(fa.InputError, match="it must be part of the program"):
        check_swept(net, [Member(hyperparameters=((hyperparameter, 0.5),))], X)


def test_members_cannot_sweep_what_is_learned():
    net = from_linen(Site(fa.get("prelu")), ("negative_slope",))
    with pytest.raises(fa.InputError, match="negative_slope of prelu: it learns it"):
        check_swept(net, [Member(hyperparameters=(("negative_slope", 0.1),))], X)


def test_whole_numbers_that_are_no_axis_or_width():
    for call in (
        lambda: fa.glu(X, axis=10**5000),
        lambda: fa.maxout(X, 10**30),
        lambda: fa.get("maxout(pieces=100000000000000000000)"),
        lambda: fa.bind("maxout", pieces=10**400),
        lambda: fa.elu(10**5000),
        lambda: fa.centered(10**5000),
        lambda: fa.get(f"elu({'1' * 5000})"),
        lambda: Member(learning_rate=10**400),
        lambda: fa.models.create_model(f"mlp_bn(width=1{'0' * 400})", "relu"),
        lambda: fa.models.create_model("mlp_bn", "relu", num_classes=10**400),
    ):
        with pytest.raises(fa.InputError):
            call()
