"""Rewrites of a Pyomo model that need no solver.

`linearize_products` writes products x·y as linear rows; `counted_products` are those whose x is an integer.
`linearize_sos` writes special ordered sets as rows.
`batching_surrogate` writes BAJ3O's rows, linearised at given batch sizes.
"""
