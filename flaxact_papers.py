"""The papers of this checkout, under the name of their package in the wheel.

A user's own folder may be called ``paper_repro`` too. So the entry point of our papers is this name,
and its modules are found by their place, not by the name of the folder.
"""

from pathlib import Path

__path__ = [str(Path(__file__).with_name("paper_repro"))]
