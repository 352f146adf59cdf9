"""The command ``pyomo-j3o`` for those who solve models: init, solve, explain, worth, simulate, report.

From top to bottom: `cli` reads the first word of the command line. `solving`, `questions`, `playing`,
`starting` and `teaching` carry out the commands, and `compare` has a room of its own. `arguments` declares
the options that commands share. `answers` writes what was found to files, with `pages` and `pictures`, and
to the terminal. `subjects` reads the model that is named: a Python file, a library folder, or an MPS or LP
file. Of the last, `matrix_files` makes arrays, and `labelled` a Pyomo model that keeps the names of the file.
`exercise_tests` runs the tests of an exercise, whose texts are in the folder `exercises`.
"""

from pyomo_j3o.commands.labelled import read_model

__all__ = ["read_model"]
