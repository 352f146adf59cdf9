"""From a Pyomo model to arrays, and back.

`annotate` marks variables, and `batching_window` is a component of its own. `expressions` reads sums, and
`compiler` assembles the arrays.
"""
