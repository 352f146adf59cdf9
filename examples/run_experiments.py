"""Run all experiments of examples/experiments: small ones in some minutes, or all at full size into a folder.

A run that was ended goes on where it was: what a folder holds is not measured again.

    python examples/run_experiments.py [FOLDER] [--full] [--only NAME ...]
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent / "experiments"
NAMES = (
    "benchmarks",
    "convergence",
    "window",
    "communication",
    "heterogeneity",
    "library_design",
    "bursty_arrivals",
    "devices_not_planned_for",
    "several_edge_servers",
    "changing_loads",
)


def main():
    """Run the experiments that are named, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="for results; a temporary one if not given")
    parser.add_argument("--full", action="store_true", help="all cases, not a few small ones")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    recording = importlib.import_module("recording")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="experiments-"))
    for name in options.only:
        recording.run(importlib.import_module(name), name, folder, options.full)
    print(f"Tables and pictures are in {folder.resolve()}")


if __name__ == "__main__":
    main()
