"""The bound: a relaxation tightened by cuts. Ours, not the paper's.

From top to bottom: `cutting` tightens the relaxation round by round. `sifting` solves a large one from few
columns on, chosen by the prices of `ascent`, which prove a bound without an LP. `kernel` is the LP over the
columns that matter. `covers`, `mir` and `setup_cuts` find violated cuts. `blocks` are columns that fall apart
once a few rows are priced out, `block_cuts` is what their MIPs prove, and `shrinking` leaves out what reduced
costs rule out. `relaxation` is the LP as a model, and what the relaxations of all parts say together.
`trail` is what one leaves to the next of nearly the same problem. `params` are the constants.
"""
