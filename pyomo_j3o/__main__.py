"""Run the command as ``python -m pyomo_j3o``."""

import sys

from pyomo_j3o.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
