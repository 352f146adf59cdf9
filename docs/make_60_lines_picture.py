"""Draw docs/_static/j3o_in_60_lines.png: docs/j3o_in_60_lines.md beside j3o, by iteration.

Run it from the root of the repository; it takes a few seconds.

    python docs/make_60_lines_picture.py
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from page_scripts import script_of

HERE = Path(__file__).parent


def main() -> None:
    """Run the page, and draw what it found."""
    page: dict = {}
    exec(script_of((HERE / "j3o_in_60_lines.md").read_text(encoding="utf-8")), page)
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    ax = figure.add_subplot()
    numbers = range(1, len(page["trace"]) + 1)
    full = page["full"]
    ax.axhline(full.objective_bound, color="#555555", ls="--", lw=1, label="bound that j3o proves")
    ax.axhline(full.incumbent_objective, color="#009E73", lw=1, label="plan of j3o with its later steps")
    ax.plot(
        numbers, page["real"], "o", ms=11, mfc="none", mec="#D55E00", mew=1.6, label="j3o, alternation alone"
    )
    ax.plot(numbers, page["trace"], "o-", ms=4, color="#0072B2", label="60 lines")
    ax.set_ylim(0, 0.9)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("iteration")
    ax.set_ylabel("mean accuracy (1)")
    ax.legend(frameon=False, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "_static" / "j3o_in_60_lines.png", dpi=110)


if __name__ == "__main__":
    main()
