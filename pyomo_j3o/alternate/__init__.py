"""The paper: greedy onloading and an offloading LP in turns.

`alternating` is the loop, `onloading` and `offloading` are its two steps, `stopping` ends it. `lagrangian`
is the set function that greedy maximises. `batch_surrogate` is what BAJ3O does to it. `params` are the
numbers in all of them.
"""
