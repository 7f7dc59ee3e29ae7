"""Names of other libraries: each is what that library computes, by independent formulas or by torch."""

import inspect

import jax
import numpy as np
import pytest
from scipy import special

import flaxact as fa
from flaxact.activations._libraries import LIBRARIES, aliases
from flaxact.activations._spec import catalogue
from flaxact.layers import Act
from tests.quick import jit

X = np.concatenate([np.linspace(-12, 12, 97), [-3.0, 3.0, -0.5, 0.5]])


def gelu(x):
    return x * special.ndtr(x)


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(-abs(x))) + np.maximum(x, 0)


def hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def relu(x):
    return np.maximum(x, 0)


def leaky(slope):
    return lambda x: np.where(x > 0, x, slope * x)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def xielu(x):
    return np.where(x > 0, 0.8 * x * x, 0.8 * (np.expm1(np.minimum(x, 0)) - x)) + 0.5 * x


def shrunk(x, threshold=0.5):
    return np.sign(x) * relu(abs(x) - threshold)


def silu(x):
    return x * sigmoid(x)


def selu(x):
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def mish(x):
    return x * np.tanh(softplus(x))


# What transformers 5.24.0 computes for each name in ACT2CLS (src/transformers/activations.py).
TRANSFORMERS = {
    "gelu": gelu,
    "gelu_10": lambda x: np.clip(gelu(x), -10, 10),
    "gelu_fast": gelu_tanh,
    "gelu_new": gelu_tanh,
    "gelu_python": gelu,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu_python_tanh": gelu_tanh,
    "gelu_accurate": gelu_tanh,
    "hardswish": lambda x: x * hard_sigmoid(x),
    "laplace": lambda x: (1 + special.erf((x - 0.707107) / (0.282095 * np.sqrt(2)))) / 2,
    "leaky_relu": leaky(0.01),
    "linear": lambda x: x,
    "mish": mish,
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "relu": relu,
    "relu2": lambda x: relu(x) ** 2,
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": sigmoid,
    "silu": silu,
    "sqrtsoftplus": lambda x: np.sqrt(softplus(x)),
    "swish": silu,
    "tanh": np.tanh,
    "prelu": leaky(0.25),
    "xielu": xielu,
}
# What keras 3.15.1 computes for each (keras/src/activations/activations.py).
KERAS = {
    "celu": elu,
    "elu": elu,
    "exponential": np.exp,
    "gelu": gelu,
    "glu": lambda x: np.split(x, 2)[0] * sigmoid(np.split(x, 2)[1]),
    "hard_shrink": lambda x: np.where(abs(x) > 0.5, x, 0),
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": lambda x: x * hard_sigmoid(x),
    "hard_swish": lambda x: x * hard_sigmoid(x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "leaky_relu": leaky(0.2),
    "linear": lambda x: x,
    "log_sigmoid": lambda x: -softplus(-x),
    "log_softmax": special.log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "soft_shrink": shrunk,
    "softmax": special.softmax,
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "sparse_plus": lambda x: np.where(x > 1, x, relu(x + 1) ** 2 / 4),
    "sparse_sigmoid": lambda x: np.clip(x / 2 + 0.5, 0, 1),
    "sparsemax": lambda x: relu(x - np.sort(x)[-1] + 1),  # of inputs more than 1 apart at the top
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "swish": silu,
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
}
# What timm 1.0.31 makes of each (timm/layers/create_act.py).
TIMM = (KERAS | TRANSFORMERS) | {
    "gelu_tanh": gelu_tanh,
    "hard_mish": lambda x: x / 2 * np.clip(x + 2, 0, 2),
    "hardsigmoid": hard_sigmoid,
    "identity": lambda x: x,
}
FORMULAS = {
    "keras": KERAS,
    "timm": {name: TIMM[name] for name in LIBRARIES["timm"]},
    "transformers": TRANSFORMERS,
}


def applied(library, name, x):
    with jax.enable_x64(True):
        return np.asarray(jit(fa.get(name, library=library))(x))


@pytest.mark.parametrize(
    ("library", "name"), [(library, name) for library, table in FORMULAS.items() for name in table]
)
def test_a_name_is_what_its_library_computes(library, name):
    x = np.append(X, 14.0)
    wanted = FORMULAS[library][name](x)
    np.testing.assert_allclose(applied(library, name, x), wanted, rtol=1e-9, atol=1e-9)


def test_every_name_of_the_tables_is_tried():
    for library, formulas in FORMULAS.items():
        assert set(LIBRARIES[library]) == set(formulas)


ALONG = ("LogSoftmax", "Softmax", "Softmin", "log_softmax", "softmax", "softmin")


@pytest.mark.parametrize("name", LIBRARIES["torch"])
def test_a_name_of_torch_is_its_function(name):
    torch = pytest.importorskip("torch")
    x = np.resize(X, (2, 3, 4, 4))
    theirs = getattr(torch.nn if name in dir(torch.nn) else torch.nn.functional, name)
    arguments = {"dim": -1} if name in ALONG else {}
    if inspect.isclass(theirs):
        module = theirs(**arguments).double().eval()
        y = module(torch.tensor(x))
    else:
        y = theirs(torch.tensor(x), **arguments)
    np.testing.assert_allclose(applied("torch", name, x), y.detach().numpy(), rtol=1e-6, atol=1e-8)


def test_every_activation_of_torch_has_its_name():
    torch = pytest.importorskip("torch")
    left_out = {"Threshold", "MultiheadAttention"}  # without defaults; not an activation
    ours = set(LIBRARIES["torch"])
    assert {*torch.nn.modules.activation.__all__, "Identity"} - left_out <= ours


def clamped(limit, alpha, shift):
    def f(gate, value):
        gate = np.minimum(gate, limit)
        return gate * sigmoid(alpha * gate) * (np.clip(value, -limit, limit) + shift)

    return f


def halves(x):
    return np.split(x, 2)


# What the models of transformers 5.24.0 compute of gate and value side by side.
MODELS = {
    "bitnet": lambda x: relu(halves(x)[0]) ** 2 * halves(x)[1],
    "deepseek_v4": lambda x: clamped(10, 1, 0)(*halves(x)),
    "glm5_next": lambda x: clamped(10, 1, 0)(*halves(x)),
    "gpt_oss": lambda x: clamped(7, 1.702, 1)(x[::2], x[1::2]),
    "hy_v4": lambda x: clamped(10, 1, 0)(*halves(x)),
    "inkling2": lambda x: (
        100 * np.tanh(halves(x)[0] / 4) * sigmoid(halves(x)[0]) * np.tanh(halves(x)[1] / 25)
    ),
    "minimax_m3_vl": lambda x: clamped(7, 1.702, 1)(*halves(x)),
    "step3p7": lambda x: np.minimum(silu(halves(x)[0]), 7) * np.clip(halves(x)[1], -7, 7),
}


@pytest.mark.parametrize("model", LIBRARIES["models"])
def test_a_model_has_the_gate_that_it_ships_with(model):
    x = np.random.default_rng(0).permutation(np.linspace(-13, 13, 40))
    np.testing.assert_allclose(applied("models", model, x), MODELS[model](x), rtol=1e-9, atol=1e-9)


def test_plain_aliases_have_one_meaning_and_hide_no_activation_of_ours():
    assert set(aliases()) >= {"gelu_new", "gelu_pytorch_tanh", "relu2", "hardswish", "logsigmoid"}
    for name, text in aliases().items():
        meanings = {table[name] for table in LIBRARIES.values() if name in table}
        assert meanings == {text}
        # gelu of two libraries is not ours, so that it is no alias, and ours stays what it is.
        assert fa.get(name) == fa.get(text) or name in catalogue
    assert fa.get("gelu") == fa.get("gelu(approximate=True)")
    assert fa.get("leaky_relu") == fa.get("leaky_relu(0.01)")
    assert fa.relu2 is fa.squared_relu
    assert "relu2" in fa.describe("squared_relu")
    assert Act("gelu_new").act == "gelu_new"
    assert str(fa.get("centered(relu2)")) == "centered(squared_relu)"
    assert str(fa.get("gelu_new(approximate=False)")) == "gelu(approximate=False)"


@pytest.mark.parametrize(
    ("arguments", "library", "message"),
    [
        ("relu", "pytorch", "unknown library 'pytorch'; did you mean 'torch'"),
        ("gelu_neu", "transformers", "unknown activation of transformers 'gelu_neu'; did you mean"),
        (fa.relu, "torch", "with library='torch' give a name"),
        ("drelu", None, "choose one of displaced_relu, dual_relu, drelu_glu"),
        ("gelu_python(2)", None, "gelu_python takes no hyperparameters"),
        ("gelu_neww", None, "did you mean 'gelu_new'"),
    ],
)
def test_refusals(arguments, library, message):
    with pytest.raises(fa.InputError, match=message):
        fa.get(arguments, library=library)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("felu", ("caffenet-benchmark",)),
        ("frelu", ("funnel",)),
        ("trelu", ("tailored_relu",)),
        ("tailored_relu", ("trelu",)),
        ("displaced_relu", ("dual_relu", "drelu_glu")),
        ("dual_relu", ("displaced_relu", "drelu_glu")),
        ("drelu_glu", ("displaced_relu", "dual_relu")),
        ("srelu", ("shifted_relu",)),
        ("gelu", ("transformers", "torch")),
    ],
)
def test_describe_names_what_else_is_called_so(name, others):
    assert all(other in fa.describe(name) for other in others)


def test_describe_says_how_far_the_forms_of_gelu_are_apart():
    x = np.linspace(-10, 10, 40_001)
    quick = TRANSFORMERS["quick_gelu"]
    for one, other, gap in (
        ("gelu", "gelu(approximate=False)", gelu_tanh(x) - gelu(x)),
        ("gelu(approximate=False)", "gelu", gelu_tanh(x) - gelu(x)),
        ("gelu", "quick_gelu", quick(x) - gelu_tanh(x)),
        ("quick_gelu", "gelu(approximate=False)", quick(x) - gelu(x)),
    ):
        assert f"{abs(gap).max():.2g} from {other} (at " in fa.describe(one)
