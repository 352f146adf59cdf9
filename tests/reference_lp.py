"""The optimum of a small LP, by the primal simplex method of HiGHS and nothing around it. No tests in here.

Laws are checked at every placement of many problems, so the check has to be quick: scipy's `linprog` takes
seven times as long for these LPs. It decides where HiGHS has no clear answer.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import highspy
import numpy as np
from scipy.optimize import linprog

from pyomo_j3o.lp.highs import QuietHighs

#: What is known from the status alone; an optimum has a value.
_VALUES = {highspy.HighsModelStatus.kInfeasible: -math.inf, highspy.HighsModelStatus.kUnbounded: math.inf}
_OPTIMAL = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kModelEmpty)

#: HiGHS counts its threads thread by thread, so this one leaves the number that the tests need alone.
_THREAD = ThreadPoolExecutor(max_workers=1)


def _quiet():
    highs = QuietHighs()
    for option, value in (("output_flag", False), ("presolve", "off"), ("simplex_strategy", 4)):
        highs.setOptionValue(option, value)
    return highs


_HIGHS = _THREAD.submit(_quiet).result()


def lp_maximum(objective, matrix, row_lower, row_upper, lower, upper):
    """Return the maximum of ``objective @ v``: -inf if there is no point, +inf if there is no largest value.

    Parameters
    ----------
    objective, lower, upper
        One number per column.
    matrix, row_lower, row_upper
        Dense, (rows, columns), and the two sides of every row.
    """
    arguments = [np.asarray(a, dtype=float) for a in (objective, matrix, row_lower, row_upper, lower, upper)]
    if not len(arguments[0]):
        return 0.0 if np.all(arguments[2] <= 1e-9) and np.all(arguments[3] >= -1e-9) else -math.inf
    value = _THREAD.submit(_by_highs, *arguments).result()
    return _by_scipy(*arguments) if value is None else value


def _by_highs(objective, matrix, row_lower, row_upper, lower, upper):
    rows, columns = np.nonzero(matrix)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(objective), len(row_lower)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = objective, lower, upper
    lp.row_lower_, lp.row_upper_ = row_lower, row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.searchsorted(rows, np.arange(lp.num_row_ + 1)).astype(np.int32)
    lp.a_matrix_.index_, lp.a_matrix_.value_ = columns.astype(np.int32), matrix[rows, columns]
    if _HIGHS.passModel(lp) == highspy.HighsStatus.kError or _HIGHS.run() == highspy.HighsStatus.kError:
        return None
    status = _HIGHS.getModelStatus()
    return _HIGHS.getInfo().objective_function_value if status in _OPTIMAL else _VALUES.get(status)


def _by_scipy(objective, matrix, row_lower, row_upper, lower, upper):
    empty = ~matrix.any(axis=1)
    if np.any(row_lower[empty] > 1e-9) or np.any(row_upper[empty] < -1e-9):
        return -math.inf
    over, under = ~empty & np.isfinite(row_upper), ~empty & np.isfinite(row_lower)
    given = {"bounds": np.column_stack([lower, upper]), "options": {"presolve": False}}
    if over.any() or under.any():
        given |= {"A_ub": np.vstack([matrix[over], -matrix[under]])}
        given |= {"b_ub": np.concatenate([row_upper[over], -row_lower[under]])}
    found = linprog(-objective, **given)
    if found.status == 2 and linprog(0 * objective, **given).status == 0:
        return math.inf  # "infeasible or unbounded" is reported as infeasible
    return {0: -found.fun if found.status == 0 else 0.0, 2: -math.inf, 3: math.inf}[found.status]
