"""Figures of the layers of a run during training, for a study's report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flaxact._lazy import np
from flaxact.studies.summary import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INNER = ("mean_to_std", "zeros", "saturated_high", "slope_second_moment", "gradient_norm")


def inner(row: Row) -> dict[str, Figure]:
    """Figures by caption, for a row's first seed: measures by layer and epoch, and inputs by site."""
    from flaxact.diagnostics import measures, pictures

    first = row.runs[0]
    figures = {}
    rows = [
        {
            "epoch": probe.epoch,
            "sites": {
                site: {name: [value] for name, value in measures.items()}
                for site, measures in probe.sites.items()
            },
        }
        for probe in first.probes
    ]
    for name in INNER:
        values = [m.get(name) for probe in first.probes for m in probe.sites.values()]
        if any(values):  # not nothing but None and zeros
            caption = f"By layer and epoch: {measures.summary(name)}"
            figures[caption] = pictures.layers_by_epoch(rows, name)
    inputs = {
        site: [v for v in values if v is not None]
        for site, values in first.inputs.items()
        if None not in values
    }
    if inputs:
        levels = measures.LEVELS
        even = np.linspace(levels[0], levels[-1], 2000)
        spread = {site: np.interp(even, levels, values) for site, values in inputs.items()}
        figures["Inputs of every activation after the last epoch."] = pictures.ridgelines(spread)
    return figures
