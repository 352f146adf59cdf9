"""What every other room stands on: arrays, results, time.

`problem` is a model as arrays, and a plan. `structure` says what its rows are: which x open which y
(`openers`), and who is to be served (`demand_groups`). `results` is what a solve leaves behind, and `log`
is what it prints meanwhile. `long_call` says what other calls do, and `live_display` draws it. `deadline` is
the time left, and `parallel` shares it between independent parts. `processes` lets other interpreters work
on them; each of them runs `process_worker`.
`whole_numbers` counts rows of whole numbers exactly. `matrices`, `tolerances`, `checks`, `table`,
`whole_files` and `version` are for everybody.
"""
