"""The bound: a relaxation tightened by cuts. Ours, not the paper's.

From top to bottom: `cutting` tightens round by round; `sifting` solves what is large; `kernel` is the LP
over the columns that matter; `covers`, `mir` and `setup_cuts` separate; `relaxation` is the LP itself, and
what its duals prove. `params` are the numbers in all of them.
"""
