"""The search after the loop. Ours, not the paper's.

From top to bottom: `improving` decides who gets a part, when, and for how long. `local_search` swaps,
`branching` is branch and bound on the kernel with `diving` and `propagation`. `feasibility` finds first
plans. `params` are the numbers in all of them.
"""
