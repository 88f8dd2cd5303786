#!/usr/bin/env python3
"""Draws what `run.sh plots` measured: draw.py LINE.json DIRECTORY writes by-hosts.png and by-clients.png there.

The line is one JSON object with `points`: compute hosts, clients, instances of a request, rate, p50 and p99 of a request.
"""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Light to dark as the number grows; told apart without colours too.
COLOURS = ["#7fb8da", "#3d8fc4", "#1f5f99", "#0b2f57"]
MARKERS = ["o", "s", "^", "D"]
COLUMNS = [
    ("per_s", "accepts a second", "Rate"),
    ("p50_ms", "milliseconds", "Latency of a request, p50"),
    ("p99_ms", "milliseconds", "Latency of a request, p99"),
]
NOUNS = {"hosts": "compute hosts", "clients": "clients"}

plt.rcParams.update({
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
})


def plain(value, _=None):
    """10,000 and 0.5 instead of 10^4 and 5x10^-1."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def decades(axis, values):
    """Ticks at 1, 2 and 5 of each decade that is seen, from below the least to above the largest."""
    low, high = min(values) / 1.5, max(values) * 1.5
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(plain))
    return low, high


def panel(axes, points, across, along, figure):
    """One figure against `across`, a line for each value of `along`."""
    at = sorted({point[across] for point in points})
    lines = []
    for number, value in enumerate(sorted({point[along] for point in points})):
        of_line = sorted((p for p in points if p[along] == value), key=lambda p: p[across])
        [line] = axes.plot(
            [p[across] for p in of_line],
            [p[figure] for p in of_line],
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4.5,
            linewidth=1.7,
            label=plain(value),
        )
        lines.append(line)
    axes.set_xscale("log")
    axes.set_xticks(at, [plain(value) for value in at])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(at[0] / 1.3, at[-1] * 1.3)
    figures = [p[figure] for p in points]
    if figure == "per_s":
        axes.set_ylim(0, max(figures) * 1.12)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    else:
        axes.set_yscale("log")
        axes.set_ylim(*decades(axes.yaxis, figures))
    return lines


def draw(line, across, along, path):
    batches = sorted({point["batch"] for point in line["points"]})
    figure, grid = plt.subplots(len(batches), len(COLUMNS), figsize=(11.5, 3.1 * len(batches) + 1.1), squeeze=False)
    for row, batch in zip(grid, batches):
        points = [point for point in line["points"] if point["batch"] == batch]
        way = "one a request" if batch == 1 else f"{batch} a request"
        for axes, (name, unit, title) in zip(row, COLUMNS):
            lines = panel(axes, points, across, along, name)
            axes.set_title(f"{title}, {way}" if name == "per_s" else title)
            axes.set_ylabel(unit)
            axes.set_xlabel(NOUNS[across])
    figure.suptitle(f"Instances accepted over HTTP, against {NOUNS[across]}", x=0.012, ha="left", fontsize=14, fontweight="bold")
    figure.legend(
        lines,
        [entry.get_label() for entry in lines],
        title=NOUNS[along],
        loc="upper right",
        bbox_to_anchor=(0.995, 0.998),
        ncols=len(lines),
        alignment="left",
        title_fontproperties={"size": 9.5},
    )
    figure.text(
        0.012,
        0.008,
        f"{line['machine']}; server, clients and far side share it. SQLite, synchronous=FULL; medians of the rounds. Commit {line['commit']}.",
        color="#666666",
        fontsize=8,
    )
    figure.tight_layout(rect=(0, 0.03, 1, 0.945), h_pad=2, w_pad=1.5)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    print(path)


def main():
    line = json.loads(Path(sys.argv[1]).read_text())
    directory = Path(sys.argv[2])
    draw(line, "hosts", "clients", directory / "by-hosts.png")
    draw(line, "clients", "hosts", directory / "by-clients.png")


main()
