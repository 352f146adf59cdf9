"""From one problem to another that is easier, and the way back.

From top to bottom: `lowered_prices` makes prices of moves smaller that are larger than need be. `forms`
makes the chain from that problem to the linear form that solvers take. `scaling` changes units, `linearize`
replaces products, and `tightening` shrinks bounds and coefficients. The methods reduce the linear form
further: `aggregating` adds rows that capacities imply together, `setup_payers` removes indicators of batches
(`charged` is the problem without them), and `decomposing` finds independent parts. `reduction` is the
contract of all. `params` are the constants.
"""
