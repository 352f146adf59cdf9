"""What can be applied to a Pyomo model by itself.

`linearize_products` writes products x·y as linear rows, `batching_surrogate` writes BAJ3O's rows at a
point.
"""
