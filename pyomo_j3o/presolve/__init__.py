"""From one problem to another that is easier, and the way back.

`scaling` changes units, `linearize` replaces products, `tightening` shrinks bounds and coefficients,
`aggregating` adds what capacities imply together, `decomposing` finds independent parts, and `setup_payers`
lets variables that exist pay for the set-ups of batches. `params` are the numbers in all of them.
"""
