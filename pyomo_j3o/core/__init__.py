"""What every other room stands on: arrays, results, time.

`problem` is a model as arrays, and a plan. `structure` says what its rows are. `results` is what a solve
leaves behind, `log` is what it prints meanwhile. `deadline` is the time left, `parallel` shares it between
independent parts. `tolerances` are those that several rooms share. `whole_numbers` counts rows of whole
numbers exactly. `checks`, `whole_files` and `version` are for everybody.
"""
