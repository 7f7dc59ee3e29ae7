"""``python -m paper_repro NAME``: as ``flaxact reproduce NAME``."""

import sys

from flaxact.__main__ import run

sys.argv = ["flaxact", "reproduce", *sys.argv[1:]]
run()
