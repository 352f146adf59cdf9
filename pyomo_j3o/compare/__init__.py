"""Run solvers side by side on the same models, and check what they say.

From top to bottom: `report` and `plot` show what came out. `race` runs every solver on every instance and
asks `verdicts` to judge. `cli` is the command line, and `grammar` reads the words in it that name solvers.
Below, `contestants` tells each solver the same settings, each in the words that `dialects` lists.
`sources` builds the models, `checking` puts a plan to the test, and `records` holds what was measured.
"""
