"""The plots, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pygal

from benchmarks.suite.growth import Curve
from benchmarks.suite.ratios import Row, Spread

STYLE = pygal.style.Style(background="white", plot_background="white", font_family="sans-serif")


def _options(title: str) -> dict[str, Any]:
    return {"title": title, "style": STYLE, "width": 900, "height": 450, "js": ()}


def bars(rows: Sequence[Row], labels: Mapping[str, str]) -> bytes:
    """Draw rows side by side as bars."""
    chart = pygal.Bar(**_options("Answers a second"), x_label_rotation=30, legend_at_bottom=True)
    chart.x_labels = [row.title for row in rows]
    for name in rows[0].values:
        if name != "machine":  # it would dwarf all other bars
            chart.add(
                labels[name].strip("`"),
                [row.spread(name).median if name in row.values else None for row in rows],
            )
    return bytes(chart.render())


def line(curve: Curve, labels: Mapping[str, str]) -> bytes:
    """Draw a curve."""
    chart = pygal.XY(
        **_options(f"{curve.title.capitalize()}, {curve.unit}"),
        x_title=curve.axis,
        legend_at_bottom=True,
        show_legend=len(curve.values) > 1,
    )
    for name, values in curve.values.items():
        points = zip(curve.places, values, strict=True)
        chart.add(labels[name].strip("`"), [(x, Spread.of(y).median) for x, y in points])
    return bytes(chart.render())
