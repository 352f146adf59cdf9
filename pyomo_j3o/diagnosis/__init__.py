"""Why a model has no plan, and what more of a budget is worth.

`infeasibility` answers in the user's words what `iis` finds on arrays. `sensitivity` prices budgets.
"""
