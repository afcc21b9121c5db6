"""The free-response curve as a picture: every operating point as a step, with its band."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctlymph.evaluation.froc import FrocLine
from ctlymph.evaluation.reliability import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any kind of colour vision tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")
MIN_RATE, MAX_RATE = 0.125, 10.0
MIN_PROBABILITY = 1e-4
_TICKS = (0.125, 0.25, 0.5, 1, 2, 4, 8)


def write_plot(lines: Sequence[FrocLine], paths: Sequence[Path], subtitle: str) -> None:
    """Draw curves, on a logarithmic and a linear axis of false positives, and save them as the suffixes say.

    Args:
        lines: The curves, in the order of the legend.
        paths: Files to write, such as ``froc.png`` and ``froc.svg``.
        subtitle: What was evaluated under which rules.
    """
    figure = _froc(lines)
    figure.suptitle(subtitle, fontsize=10)
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def froc_svg(lines: Sequence[FrocLine]) -> bytes:
    """Draw the curves as :func:`write_plot` does, without a title, as SVG."""
    return _svg(_froc(lines))


def calibration_svg(calibration: Calibration) -> bytes:
    """Draw the share of hits against the score, both on logarithmic axes, as SVG; bins without hits lie at the foot."""
    figure = _figure(4.2, 3.8)
    axes = figure.subplots()
    foot = MIN_PROBABILITY
    axes.plot([foot, 1], [foot, 1], ":", color="#888888", linewidth=1.2, label="score = share of hits")
    share, score = np.maximum(calibration.hit_rate, foot), np.maximum(calibration.mean_score, foot)
    area = 12 + 70 * np.sqrt(calibration.count / max(calibration.count.max(initial=1), 1))
    axes.plot(score, share, "-", color=COLOURS[0], linewidth=1.2)
    axes.scatter(score, share, s=area, color=COLOURS[0], label="detections (area: how many)", clip_on=False)
    axes.set(xscale="log", yscale="log", xlim=(foot, 1), ylim=(foot, 1.05), xlabel="score", ylabel="share of hits")
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return _svg(figure)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _froc(lines: Sequence[FrocLine]) -> Figure:
    figure = _figure(10.5, 4.8)
    logarithmic, linear = figure.subplots(1, 2, sharey=True)
    for axes, is_log in ((logarithmic, True), (linear, False)):
        for number, line in enumerate(lines):
            _draw(axes, line, COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % len(LINES)])
        _dress(axes, is_log)
    logarithmic.set_ylabel("sensitivity")
    linear.legend(loc="lower right", frameon=False)
    return figure


def _draw(axes: Axes, line: FrocLine, colour: str, style: str) -> None:
    low, high = line.band
    axes.fill_between(line.band_rates, low, high, step="post", color=colour, alpha=0.18, linewidth=0)
    curve = line.curve
    # A curve holds to the right of its last point: a lower threshold adds nothing.
    false = np.concatenate([[0.0], curve.false_per_volume, [MAX_RATE * 10]])
    found = np.concatenate([[0.0], curve.sensitivity, curve.sensitivity[-1:] if len(curve.thresholds) else [0.0]])
    axes.plot(false, found, style, drawstyle="steps-post", color=colour, linewidth=1.8, label=line.name)
    if len(curve.thresholds):
        last = (curve.false_per_volume[-1], curve.sensitivity[-1])
        axes.plot(*last, "o", color=colour, markersize=4)
    if len(curve.thresholds) and curve.false_per_volume[0] > MAX_RATE:
        first, rate = curve.sensitivity[0], curve.false_per_volume[0]
        words = f"from {first:.2f} at {rate:.3g} false positives →"
        axes.text(MAX_RATE, first, words, color=colour, ha="right", va="bottom")


def _dress(axes: Axes, is_log: bool) -> None:
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    if is_log:
        axes.set_xscale("log", base=2)
        axes.set_xlim(MIN_RATE, MAX_RATE)
        axes.xaxis.set_major_locator(FixedLocator(_TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    else:
        axes.set_xlim(0, MAX_RATE)
    axes.set_ylim(0, 1.005)
    axes.set_xlabel("false positives per CT" + (" (logarithmic)" if is_log else ""))
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
