"""Weights of TorchVision's models for the zoo models with the same layers.

Such a model has a method ``torchvision_layers() -> {"conv1": "features.0", ...}``, which lists the
names of its layers in TorchVision's state dict, in call order.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from flax.typing import VariableDict

from flaxact.errors import InputError, hint, nearest
from flaxact.models import input_shape
from flaxact.models._zoo import ZooModel

# Of ImageNet's pixels, by channel, as TorchVision normalizes them once they are divided by 255.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Leaf = tuple[str, ...]  # a place among a model's variables: ("params", "conv1", "kernel")

# What a layer's variables are called in torch.
_PARTS = {
    ("params", "kernel"): "weight",
    ("params", "bias"): "bias",
    ("params", "scale"): "weight",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}


def load_torchvision(model: ZooModel, path: str | Path) -> VariableDict:
    """A model's variables with the weights of a TorchVision model's state dict.

    Kernels are transposed from torch's axis order to Flax's, and the inputs of the first dense
    layer are reordered, because torch flattens channel by channel. A model that standardizes its
    images uses ImageNet's mean and standard deviation. Variables that TorchVision's model lacks,
    such as the parameters of a learned activation, are initialized by ``model.init``.

    Args:
      model: from ``create_model``: ``alexnet_one_weird_trick``, or another model with
        ``torchvision_layers``.
      path: the state dict as .safetensors (needs the package ``safetensors``) or as .npz:
        ``numpy.savez(path, **{k: v.numpy() for k, v in module.state_dict().items()})``.

    Returns:
      Variables for ``model.apply``, in float32.

    Raises:
      InputError: a model without TorchVision weights, a file that cannot be read, or a file whose
        names or shapes do not match the model's.
    """
    layers = _layers(model)
    state = _read(Path(path))
    shape = input_shape(type(model).__module__.rpartition(".")[2])
    key = jax.random.key(0)
    images = jnp.zeros((2, *shape), jnp.uint8)
    shapes = _flat(jax.eval_shape(model.init, key, images))
    weights = _converted(layers, shapes, state)
    for name, values in (("mean", MEAN), ("std", STD)):
        if ("inputs", name) in shapes:
            weights["inputs", name] = jnp.array(values, jnp.float32) * 255
    if missing := [leaf for leaf in shapes if leaf not in weights]:
        own = jax.jit(lambda key: [_flat(model.init(key, images))[leaf] for leaf in missing])(key)
        weights |= dict(zip(missing, own, strict=True))
    return traverse_util.unflatten_dict({leaf: weights[leaf] for leaf in shapes})


def _flat(variables: VariableDict) -> dict[Leaf, jax.Array]:
    return dict(traverse_util.flatten_dict(variables))  # type: ignore[arg-type]


def _layers(model: ZooModel) -> dict[str, str]:
    """The name in torch of each layer.

    Raises:
      InputError: TorchVision has no weights for the model, or the model has normalization that
        TorchVision's lacks.
    """
    names = getattr(model, "torchvision_layers", None)
    if names is None:
        raise InputError(f"TorchVision has no weights for {type(model).__name__}")
    if model.norm.startswith("weight"):
        raise InputError(f"TorchVision has no weights for norm={model.norm!r}; omit it")
    return names()


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name.

    Raises:
      InputError: the file cannot be read.
    """
    readers = {".npz": _npz, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise InputError(f"cannot read {str(path)!r}: give a state dict as .safetensors or .npz")
    try:
        return readers[path.suffix](path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from None


def _npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError  # pyright: ignore[reportMissingImports]
        from safetensors.flax import load_file  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError("the package safetensors is missing: pip install safetensors") from None
    try:
        return {name: np.asarray(array) for name, array in load_file(path).items()}
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _converted(
    layers: dict[str, str], shapes: dict[Leaf, jax.Array], state: dict[str, np.ndarray]
) -> dict[Leaf, jax.Array]:
    """The arrays of the state dict at their places in the model, in Flax's axis order.

    Raises:
      InputError: a name that only the file or only the model has, or a different shape.
    """
    state = {k: v for k, v in state.items() if not k.endswith(".num_batches_tracked")}
    # channels: of the image that the next dense layer flattens; 0 for none
    weights = {}
    channels = 0
    for layer, torch_name in layers.items():
        leaves = [leaf for leaf in shapes if leaf[1] == layer and len(leaf) == 3]
        for leaf in sorted(leaves, key=lambda leaf: leaf[2] != "kernel"):
            name = f"{torch_name}.{_PARTS[leaf[0], leaf[2]]}"
            if name not in state:
                raise InputError(f"the file has no {name!r}{hint(nearest(name, state))}")
            weights[leaf] = _turned(state.pop(name), name, shapes[leaf].shape, channels)
            if leaf[2] == "kernel":
                channels = weights[leaf].shape[-1] if weights[leaf].ndim == 4 else 0
    if state:
        raise InputError(f"the model has no layer for {', '.join(sorted(state))} of the file")
    return weights


def _turned(array: np.ndarray, name: str, shape: tuple[int, ...], channels: int) -> jax.Array:
    stored_shape = array.shape
    if array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
    elif array.ndim == 2 and channels and stored_shape[1] % channels == 0:
        array = array.reshape(stored_shape[0], channels, -1).T.reshape(
            stored_shape[1], stored_shape[0]
        )
    elif array.ndim == 2:
        array = array.T
    if array.shape != shape:
        raise InputError(f"{name} has the shape {stored_shape} and doesn't fit the model's {shape}")
    return jnp.asarray(array, jnp.float32)
