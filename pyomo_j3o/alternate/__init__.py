"""The paper: greedy onloading and an offloading LP in turns.

From top to bottom: `alternating` is the loop. `onloading` and `offloading` are its two steps, and
`stopping` ends it. `batch_surrogate` is BAJ3O's step: set-ups replaced by φ_δ. `lagrangian` is F_α, the set
function that greedy maximises, and `greedy_state` is what greedy knows of it at one placement. `params` are
the constants.
"""
