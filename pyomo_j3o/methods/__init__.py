"""One file per value of `algorithm`.

`exact` asks a MIP solver, `baj3o` is batching-aware, `j3o` is the method itself. `vetting` holds plans
against the rows as the user wrote them. `settings` says how to solve, and what with; `params` are the numbers
of the whole method, step by step.
"""
