"""Run solvers side by side on the same models, and check what they say.

From top to bottom: `report` and `plot` show what came out. `race` runs every solver on every instance and
asks `verdicts` to judge. Below them, `contestants` tells each solver the same things in its own way,
`sources` builds the models, `checking` puts a plan to the test, and `records` holds what was measured.
"""
