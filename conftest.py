"""For the tests and for the examples in docstrings."""

import pytest


def pytest_sessionstart():
    """Refuse a catalogue that does not load once, not in every test."""
    import flaxact

    try:
        flaxact.names()
    except flaxact.InputError as error:
        pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(autouse=True)
def _registered():
    """What one of them registers, others do not see."""
    from flaxact.activations._spec import catalogue
    from flaxact.data import catalogue as data
    from flaxact.models import _catalogue as models

    registries = catalogue, data.own, models.own
    before = [dict(registry) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        if registry != entries:
            registry.clear()
            registry.update(entries)
