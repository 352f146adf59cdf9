"""The search after the loop. Ours, not the paper's.

From top to bottom: `improving` decides who gets a part, when, and for how long; `pursuing` does so until the
gap is closed. Both call the steps of `part_search`, on a `task`. `local_search` swaps, within a
`neighbourhood` of moves. `branching` is branch and bound on the kernel, with `diving`, `propagation` and
`pseudo_costs`; its nodes, and the leaves that are left to a later search, are `boxes`. `block_plans` asks
the blocks of a part what they would place. `proving` lets a MILP solver search what reduced costs leave.
`count_search` rounds and improves integer variables before the alternation.
`feasibility` finds first plans, and `idle` closes what nobody needs. `params` are the constants.
"""
