"""The entry of the command ``pyomo-j3o``, outside of the package: importing that takes seconds."""

import os
import signal
import sys

#: Exit status after Ctrl-C, as shells have it.
_INTERRUPTED = 130


def main() -> int:
    """Import the package, and carry out one command; return its exit status.

    Ctrl-C ends the command in one line, also while Pyomo and NumPy are being imported. These would turn it
    into errors of their own.
    """
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # whoever started the command may have it ignored
        signal.signal(signal.SIGINT, _leave)
    from pyomo_j3o.commands.cli import main as carry_out

    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, usual)
    return carry_out()


def _leave(*_: object) -> None:
    """End the process at once: there is nothing yet that could be lost."""
    os.write(2, b"pyomo-j3o: interrupted before the model was read\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
