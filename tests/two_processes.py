"""One of several processes of a run: what test_processes.py starts. Prints what it did as JSON.

python two_processes.py FOLDER COORDINATOR PROCESSES PROCESS OPTIONS, the last as JSON.
"""

import faulthandler
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import eight_devices
import jax
from eight_devices import DATA, difference, measured

from flaxact.data import open_stream
from flaxact.data.streamed import Streamed
from flaxact.net import from_linen
from flaxact.training import Recipe, run, updates
from flaxact.training.distributed import initialize

NET = from_linen(eight_devices.Mixed())
RECIPE = replace(eight_devices.RECIPE, epochs=6)  # of three steps


def stop() -> None:
    """SIGTERM to this process; until JAX has seen it, which looks once a second."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2.5)


def streams(images: str) -> dict[str, float]:
    """How far a training in which each process reads its rows is from one in which each reads all."""
    recipe = Recipe(epochs=2, batch_size=6, augment=("flip",))
    collected = []
    for shard in ((jax.process_index(), jax.process_count()), (0, 1)):
        plan = {"image_size": 8, "shard": shard}
        data = Streamed(
            "images",
            open_stream(images, batch_size=6, **plan),
            open_stream(images, split="val", batch_size=4, **plan),
        )
        updated = list(updates(NET, recipe, data, [0], split="batch"))
        collected.append((updated[-1].arrays(), measured(updated[-1].epoch)))
    (arrays, metrics), (others, other_metrics) = collected
    return {
        "arrays": difference(arrays, others),
        "metrics": difference(metrics, other_metrics),
        "updates": len(updated),
    }


def main(folder: str, coordinator: str, processes: int, process: int, options: dict) -> None:
    """Train in the folder, twice; ``stop`` is an epoch at which SIGTERM comes, -1 for before all."""
    faulthandler.dump_traceback_later(150, exit=True)  # says where it hangs
    jax.config.update("jax_num_cpu_devices", options["devices"])
    initialize(coordinator, processes, process)
    if options["stop"] == -1:
        stop()
    if "images" in options:
        print(json.dumps({"streams": streams(options["images"]), "devices": jax.device_count()}))
        return
    epochs = [0, 0]
    for i in range(2):
        for epoch in run(
            NET, RECIPE, DATA, [3, 4], folder=Path(folder), loop="scan", split="batch"
        ):
            epochs[i] += 1
            if epoch.number == options["stop"]:
                stop()
    print(json.dumps({"epochs": epochs, "devices": jax.device_count()}))


if __name__ == "__main__":
    place, first, number, this, said = sys.argv[1:]
    main(place, first, int(number), int(this), options=json.loads(said))
