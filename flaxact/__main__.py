"""``python -m flaxact``, and the installed script: an interrupt is heeded before anything is loaded."""

from flaxact import _interrupts


def run() -> None:
    """Run the command line."""
    _interrupts.begin()
    from flaxact import cli

    cli.run()


if __name__ == "__main__":
    run()
