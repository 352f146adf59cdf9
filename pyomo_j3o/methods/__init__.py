"""J3O, BAJ3O and the exact method, on arrays.

One file per value of `algorithm`: `exact` asks a MIP solver, `baj3o` is batching-aware, and `j3o` is the
method itself. `quick_look` lets a MIP solver close a small model at once. `j3o.search` goes through the
steps of a `run`. `parts` are the independent parts it works on, `part_work` is what is done on one of them,
here or in another process, and `kept` is how its relaxation is kept. `parts_driver` takes what the search
after the loop finds in them. `exact` hands its parts to a MIP
solver by `mip_parts`, and keeps its best plan as an `incumbent`.
`memory` is what one solve leaves to the next. `vetting` is for all three: it holds plans
against `own_rows`, the rows as the user wrote them. `progress` is the bound and the trace. `instance` holds
the scaled and the linear form of a problem. `settings` and `params` say how to solve.
"""
