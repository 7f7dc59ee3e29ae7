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
from eight_devices import DATA

from flaxact.net import from_linen
from flaxact.training import run
from flaxact.training.devices import initialize

NET = from_linen(eight_devices.Mixed())
RECIPE = replace(eight_devices.RECIPE, epochs=6)  # of three steps


def stop() -> None:
    """SIGTERM to this process; until JAX has seen it, which looks once a second."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2.5)


def main(folder: str, coordinator: str, processes: int, process: int, options: dict) -> None:
    """Train in the folder, twice; ``stop`` is an epoch at which SIGTERM comes, -1 for before all."""
    faulthandler.dump_traceback_later(150, exit=True)  # says where it hangs
    jax.config.update("jax_num_cpu_devices", options["devices"])
    initialize(coordinator, processes, process)
    if options["stop"] == -1:
        stop()
    epochs = [0, 0]
    for i in range(2):
        for epoch in run(NET, RECIPE, DATA, [3, 4], Path(folder), loop="scan", split="batch"):
            epochs[i] += 1
            if epoch.number == options["stop"]:
                stop()
    print(json.dumps({"epochs": epochs, "devices": jax.device_count()}))


if __name__ == "__main__":
    place, first, number, this, said = sys.argv[1:]
    main(place, first, int(number), int(this), json.loads(said))
