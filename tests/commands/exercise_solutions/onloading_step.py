"""Exercise 1 (45 minutes): a greedy onloading step.

An onloading step gets prices α of the rows, and says which onloading variables x are 1. With the priced rows
in the objective, the demand groups g (one for each client and task) are independent of each other. A
placement S is then worth

    F(S) = Σ_g D_g · max(0, largest w_h of the options h of group g that S opens)

with w_h = c_h - Σ_r α_r A_rh. Greedy starts with nothing, and adds the variable that raises F most, as
long as one fits and raises F.

`structure` holds what you need:

    structure.problem.offloading_objective   c, one entry for each option, (K,)
    structure.problem.offloading_rows        A, sparse, (M rows, K options)
    structure.priced_rows                    numbers of the rows that are priced
    structure.group                          number of the group of each option, (K,)
    structure.group_demand                   D, (groups,)

The two functions on top are given.
"""

import numpy as np


def opener_of(structure):
    """Return which x opens each option, (K,); -1 for the cloud, which is always open."""
    opener = np.full(structure.problem.n_offloading, -1)
    opener[structure.opener_column] = structure.opener_x
    return opener


def fits(structure, x, k):
    """Return whether the placement x, (N,) bool, keeps every memory budget when k is added."""
    more = x.copy()
    more[k] = True
    return structure.placeable(more)


def worth_of_options(structure, prices):
    """Return w, (K,): what each option is worth at the prices, (M,).

    Only `priced_rows` count: the prices of all other rows are to be ignored.
    """
    charged = np.zeros(structure.problem.n_rows)
    charged[structure.priced_rows] = prices[structure.priced_rows]
    return structure.problem.offloading_objective - structure.problem.offloading_rows.T @ charged


def gains(structure, worth, x):
    """Return by how much F rises if each variable is added to the placement x, (N,).

    An option h of group g that k opens brings D_g · max(0, w_h - best_g). Here best_g is 0, or the largest
    worth of the options of g that are open at x, whichever is more.
    """
    opener, group = opener_of(structure), structure.group
    best = np.zeros(len(structure.group_demand))
    open_now = (opener < 0) | x[opener]
    np.maximum.at(best, group[open_now], worth[open_now])
    brings = structure.group_demand[group] * np.maximum(worth - best[group], 0.0)
    total = np.zeros(structure.problem.n_onloading)
    np.add.at(total, opener[opener >= 0], brings[opener >= 0])
    return total


def my_step(structure, prices):
    """Return which x are 1, (N,) bool."""
    x = np.zeros(structure.problem.n_onloading, dtype=bool)
    worth = worth_of_options(structure, prices)
    while True:
        gain = np.where(x, 0.0, gains(structure, worth, x))
        able = [k for k in np.argsort(-gain) if gain[k] > 1e-12 and fits(structure, x, k)]
        if not able:
            return x
        x[able[0]] = True
