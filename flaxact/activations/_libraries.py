"""What other libraries mean by a name: a table per library, from its names to spec texts."""

from __future__ import annotations

import collections
import functools

from flaxact.errors import InputError, unknown

_GELU = "gelu(approximate=False)"

# keras 3.15.1: keras/src/activations/__init__.py, ALL_OBJECTS_DICT, at their defaults. Left out:
# threshold, which has none.
_KERAS = {
    "celu": "celu", "elu": "elu", "exponential": "exponential", "gelu": _GELU, "glu": "glu",
    "hard_shrink": "hard_shrink", "hard_sigmoid": "hard_sigmoid", "hard_silu": "hard_swish",
    "hard_swish": "hard_swish", "hard_tanh": "hard_tanh", "leaky_relu": "leaky_relu(0.2)",
    "linear": "identity", "log_sigmoid": "log_sigmoid", "log_softmax": "log_softmax",
    "mish": "mish", "relu": "relu", "relu6": "relu6", "selu": "selu", "sigmoid": "sigmoid",
    "silu": "silu", "soft_shrink": "soft_shrink", "softmax": "softmax", "softplus": "softplus",
    "softsign": "softsign", "sparse_plus": "sparse_plus", "sparse_sigmoid": "sparse_sigmoid",
    "sparsemax": "sparsemax", "squareplus": "squareplus", "swish": "silu", "tanh": "tanh",
    "tanh_shrink": "tanh_shrink",
}  # fmt: skip

# timm 1.0.31: timm/layers/create_act.py.
_TIMM = {
    "celu": "celu", "elu": "elu", "gelu": _GELU, "gelu_tanh": "gelu", "hard_mish": "hard_mish",
    "hard_sigmoid": "hard_sigmoid", "hard_swish": "hard_swish", "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish", "identity": "identity", "leaky_relu": "leaky_relu", "mish": "mish",
    "prelu": "prelu(per_channel=False)", "quick_gelu": "quick_gelu", "relu": "relu",
    "relu6": "relu6", "selu": "selu", "sigmoid": "sigmoid", "silu": "silu", "swish": "silu",
    "tanh": "tanh",
}  # fmt: skip

# torch 2.13: the classes of torch.nn and the functions of torch.nn.functional, at their defaults and,
# where they take an axis, along the last. Left out: Threshold, which has no defaults. Softplus is x
# itself above 20 there, which differs by 2e-9 at most.
_TORCH = {
    "CELU": "celu", "ELU": "elu", "GELU": _GELU, "GLU": "glu", "Hardshrink": "hard_shrink",
    "Hardsigmoid": "hard_sigmoid", "Hardswish": "hard_swish", "Hardtanh": "hard_tanh",
    "Identity": "identity", "LeakyReLU": "leaky_relu", "LogSigmoid": "log_sigmoid",
    "LogSoftmax": "log_softmax", "Mish": "mish", "PReLU": "prelu(per_channel=False)",
    "RReLU": "rrelu_slope", "ReLU": "relu", "ReLU6": "relu6", "SELU": "selu", "SiLU": "silu",
    "Sigmoid": "sigmoid", "Softmax": "softmax", "Softmax2d": "softmax(axis=-3)",
    "Softmin": "softmin", "Softplus": "softplus", "Softshrink": "soft_shrink",
    "Softsign": "softsign", "Tanh": "tanh", "Tanhshrink": "tanh_shrink",
    "celu": "celu", "elu": "elu", "gelu": _GELU, "glu": "glu", "hardshrink": "hard_shrink",
    "hardsigmoid": "hard_sigmoid", "hardswish": "hard_swish", "hardtanh": "hard_tanh",
    "leaky_relu": "leaky_relu", "log_softmax": "log_softmax", "logsigmoid": "log_sigmoid",
    "mish": "mish", "relu": "relu", "relu6": "relu6", "rrelu": "rrelu_slope", "selu": "selu",
    "sigmoid": "sigmoid", "silu": "silu", "softmax": "softmax", "softmin": "softmin",
    "softplus": "softplus", "softshrink": "soft_shrink", "softsign": "softsign", "tanh": "tanh",
    "tanhshrink": "tanh_shrink",
}  # fmt: skip

# transformers 5.24.0: src/transformers/activations.py, ACT2CLS; the values of `hidden_act`. Its xielu
# takes the value of e^x - 1 at -1e-6 for x between there and 0, which differs by 8e-7 at most.
_TRANSFORMERS = {
    "gelu": _GELU, "gelu_10": f"clipped({_GELU}, -10, 10)", "gelu_accurate": "gelu",
    "gelu_fast": "gelu", "gelu_new": "gelu", "gelu_python": _GELU, "gelu_python_tanh": "gelu",
    "gelu_pytorch_tanh": "gelu", "hardswish": "hard_swish", "laplace": "laplace",
    "leaky_relu": "leaky_relu", "linear": "identity", "mish": "mish",
    "prelu": "prelu(per_channel=False)", "quick_gelu": "quick_gelu", "relu": "relu",
    "relu2": "squared_relu", "relu6": "relu6", "sigmoid": "sigmoid", "silu": "silu",
    "sqrtsoftplus": "sqrt_softplus", "swish": "silu", "tanh": "tanh", "xielu": "xielu",
}  # fmt: skip

# transformers 5.24.0: the gates written inside src/transformers/models/*/modeling_*.py, by model_type, at
# the defaults of its configuration. Step 3.7 has a limit per layer; here it is the default one, 7.
_MODELS = {
    "bitnet": "gated(squared_relu, gate_first=True)",
    "deepseek_v4": "clamped_swiglu(10, alpha=1, value_shift=0, gate_first=True)",
    "glm5_next": "clamped_swiglu(10, alpha=1, value_shift=0, gate_first=True)",
    "gpt_oss": "clamped_swiglu(gate_first=True, interleaved=True)",
    "hy_v4": "clamped_swiglu(10, alpha=1, value_shift=0, gate_first=True)",
    "inkling2": "softcapped_swiglu(gate_first=True)",
    "minimax_m3_vl": "clamped_swiglu(gate_first=True)",
    "step3p7": "clamped_swiglu(alpha=1, value_shift=0, clamp_after=True, gate_first=True)",
}

LIBRARIES = {
    "keras": _KERAS,
    "models": _MODELS,
    "timm": _TIMM,
    "torch": _TORCH,
    "transformers": _TRANSFORMERS,
}

# What several papers call their own function.
_AMBIGUOUS = {"drelu": ("displaced_relu", "dual_relu", "drelu_glu")}


def library_text(name: str, library: str) -> str:
    """The spec text of what a library calls so.

    Raises:
      InputError: an unknown library, or a name that it does not have.
    """
    if library not in LIBRARIES:
        raise unknown("library", library, LIBRARIES)
    if name not in LIBRARIES[library]:
        raise unknown(f"activation of {library}", name, LIBRARIES[library])
    return LIBRARIES[library][name]


@functools.cache
def aliases() -> dict[str, str]:
    """Names with the same meaning in every library that has them, with their spec texts."""
    texts: dict[str, set[str]] = collections.defaultdict(set)
    for library, table in LIBRARIES.items():
        for name, text in table.items() if library != "models" else ():
            texts[name].add(text)
    return {name: min(t) for name, t in sorted(texts.items()) if name.islower() and len(t) == 1}


def names_elsewhere(name: str) -> tuple[str, ...]:
    """What other libraries call one of our activations at its defaults."""
    return tuple(other for other, text in aliases().items() if text == name != other)


def check_ambiguous(name: str) -> None:
    """Raise for a name that several functions share."""
    if name in _AMBIGUOUS:
        several = ", ".join(_AMBIGUOUS[name])
        raise InputError(f"{name} is the name of several activations: choose one of {several}")
