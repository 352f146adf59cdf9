"""From a Pyomo model to the arrays of a `Problem`, and back.

`annotate` marks variables as onloading or offloading. `batching_window` is a component of its own, whose
arrivals `rates` reads and ties to the indicators of the batches. A model is compiled in four steps:
`expressions` takes sums and products apart, `rows` reads constraints and objective with it, `columns` sorts
the variables, and `compiler` puts the arrays together. `inverse` is the way back, and `loading` the solution
loader that Pyomo asks for values, duals and reduced costs. `move_cost` takes a price of changes of the
placement from the objective. `naming` says how messages call components.
"""
