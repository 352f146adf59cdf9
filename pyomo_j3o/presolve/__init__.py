"""From one problem to another that is easier, and the way back.

From top to bottom: `forms` makes the chain from the user's problem to the linear form that solvers take.
`lowered_prices` makes large prices of moves smaller. `scaling` changes units, `linearize` replaces products, and `tightening` shrinks bounds and coefficients.
The methods reduce the linear form further: `aggregating` adds rows that capacities imply together,
`setup_payers` removes indicators of batches (`charged` is the problem without them), and `decomposing`
finds independent parts. `reduction` is the contract of all. `params` are the constants.
"""
