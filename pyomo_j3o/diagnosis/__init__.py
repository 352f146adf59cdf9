"""Why a model has no plan, and what more of a budget is worth.

From top to bottom: `infeasibility` explains in the user's words why a model has no plan, and
`explanation` holds these words, which `conflict_tables` prints. `conflicts` finds the conflicts of a
problem on arrays, one independent part after another. `iis` searches one part for irreducible infeasible
subsystems, `subsystems` are its records, `whole_rows` counts rows of whole numbers exactly, and `system`
is a part whose rows and bounds can be taken out one by one. `asked_rows` says how far rows that the user
names have to move, `relaxed_rows` holds and prints that, and `relaxing` finds it on arrays. `params` are
the constants of these searches.

`sensitivity` prices budgets, and `resolving` solves again with more of them. `members` reads the constraints
that a user names.
"""
