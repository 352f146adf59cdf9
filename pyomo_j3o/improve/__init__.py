"""The search after the loop. Ours, not the paper's.

From top to bottom: `improving` decides who gets a part, when, and for how long. `local_search` swaps,
within a `neighbourhood` of moves. `branching` is branch and bound on the kernel, with `diving` and
`propagation`. `feasibility` finds first plans, and `idle` closes what nobody needs. `params` are the
constants.
"""
