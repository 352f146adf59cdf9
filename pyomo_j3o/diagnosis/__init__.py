"""Why a model has no plan, and what more of a budget is worth.

From top to bottom: `infeasibility` explains in the user's words why a model has no plan, and `explanation`
holds and prints these words. `conflicts` finds the conflicts of a problem on arrays, one independent part
after another. `iis` searches one part for irreducible infeasible subsystems, `whole_rows` counts rows of
whole numbers exactly, and `system` is a part whose rows and bounds can be taken out one by one. `params`
are the constants of that search. `sensitivity` prices budgets.
"""
