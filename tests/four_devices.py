"""What test_modes.py asks of activations under an explicit sharding: run as a script, it prints JSON.

By how the input of every activation is split over 4 emulated devices: what went wrong.
"""

import json

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

import flaxact as fa

SPLIT = {"batch": PartitionSpec("d", None), "channels": PartitionSpec(None, "d")}


def fault(name: str, split: PartitionSpec) -> str:
    """The error's type, or where else the gradient is; empty where all is well."""
    act = fa.get(name)
    learned = act.parameters(8, jax.random.key(0)) if act.learned else {}
    learned = jax.device_put(learned, PartitionSpec())
    x = jax.device_put(jnp.ones((4, 8)), split)
    try:
        actual = jax.eval_shape(jax.grad(lambda x: act(x, **learned).sum()), x)
    except Exception as error:
        return type(error).__name__
    return "" if actual.sharding.spec == split else str(actual.sharding.spec)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 4)
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        found = {k: {n: fault(n, split) for n in fa.names()} for k, split in SPLIT.items()}
    print(json.dumps({k: {n: said for n, said in v.items() if said} for k, v in found.items()}))
