"""Rewrites of a Pyomo model that need no solver.

`linearize_products` writes products x·y as linear rows, `linearize_sos` special ordered sets.
`batching_surrogate` writes BAJ3O's rows, linearised at given batch sizes.
"""
