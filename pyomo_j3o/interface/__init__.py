"""The solver as Pyomo sees it."""
