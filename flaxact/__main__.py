"""``python -m flaxact``: the command line."""

from flaxact.cli import run

if __name__ == "__main__":
    run()
