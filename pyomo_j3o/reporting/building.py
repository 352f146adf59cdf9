"""`report`: from a model with values to the tables of its plan."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from pyomo.core.base.block import BlockData

from pyomo_j3o.core.problem import TOLERANCE, FloatArray, IntArray
from pyomo_j3o.core.results import relative_gap
from pyomo_j3o.core.table import Table
from pyomo_j3o.core.tolerances import INTEGRAL, TRACE
from pyomo_j3o.errors import ModelError
from pyomo_j3o.modeling.naming import listed, the_model
from pyomo_j3o.reporting.addresses import Address, Addresses, Index, names_of_dimensions
from pyomo_j3o.reporting.demands import Carried, Demands, carried, demands_of, links_of, routed_variables
from pyomo_j3o.reporting.fullness import AT_LEAST, EQUAL, RELATIONS, Fullness, Signs, fullness_of
from pyomo_j3o.reporting.held_plan import HeldPlan, held_plan
from pyomo_j3o.reporting.layout import by_component
from pyomo_j3o.reporting.params import ReportParams
from pyomo_j3o.reporting.plan_report import PlanReport, Summary
from pyomo_j3o.reporting.proof import Proof, duals_of, proof_of
from pyomo_j3o.reporting.special_sets import missed_sets

_PARAMS = ReportParams()

_PLACED = ("component", "index", "name", "value", "serves", "amount", "objective")
_ROUTED = ("component", "index", "name", "amount", "share", "demand", "objective")
_ROWS = (
    "component",
    "index",
    "name",
    "kind",
    "used",
    "relation",
    "limit",
    "slack",
    "fullness",
    "status",
    "dual",
)


def report(model: BlockData, results: Any = None) -> PlanReport:
    """Say what the plan of a solved model does: what is placed, what is routed, and how full each row is.

    Parameters
    ----------
    model
        Any model that j3o accepts, with values in its variables, be they found by j3o or by another solver.
    results
        What the solve returned, by either interface of Pyomo. Bound, gap, status and duals are read from it,
        as long as the model and its values are those of the solve; and the values, if they were not loaded.
        None if there is nothing but the model.

    Returns
    -------
    PlanReport
        Its tables have these columns. `component`, `index` and `name` are those of the user's model.

        ``placed``, by component, those that carry most first: `value` (1, or a count); `serves` and `amount`,
        the number of offloading variables routed through it, and the sum of their values; `objective`, what
        it adds to the objective.

        ``routed``, by component, the largest first: `amount` (the variable's value); `demand` and `share`,
        the row that it serves and how much of it; `objective`.

        ``rows``: `used`, `relation`, `limit` and `slack`, negative onloading terms on the side of the limit;
        `fullness`, use over limit (limit over use of a row ``>=``); `kind` (``"limit"``, ``"requirement"``,
        ``"demand"``, ``"equation"``, ``"link"``); `status` (``"missed"``, ``"binds"``, ``"slack"``,
        ``"closed"`` where nothing is placed that would give a limit); and the `dual`.

    Raises
    ------
    ModelError
        If variables have no value, or the model is not one that j3o accepts.

    Examples
    --------
    >>> import pyomo.environ as pyo
    >>> from pyomo_j3o import annotate, report
    >>> m = pyo.ConcreteModel("one cache")
    >>> m.x = pyo.Var(["film", "song"], domain=pyo.Binary, initialize={"film": 0, "song": 1})
    >>> m.fits = pyo.Constraint(expr=4 * m.x["film"] + 1 * m.x["song"] <= 4)
    >>> m.hits = pyo.Objective(expr=5 * m.x["film"] + 3 * m.x["song"], sense=pyo.maximize)
    >>> annotate(m, onloading=m.x)
    >>> [(row["name"], row["used"], row["limit"]) for row in report(m).rows]
    [('fits', 1.0, 4.0)]
    """
    plan = held_plan(model)
    proof = proof_of(results, plan.sense)
    plan, notes, own_results = _with_values(plan, proof, model)
    addresses = Addresses(model)
    variables = [addresses.of(variable) for variable in plan.variables]
    constraints = [addresses.of(constraint) for constraint in plan.constraints]
    signs = Signs.of(plan)
    rows = fullness_of(plan, signs, _PARAMS)
    demands = demands_of(plan, signs, rows, _numbers(constraints))
    routed = routed_variables(plan, _numbers(variables), TRACE)
    through = carried(plan, signs, rows, routed)
    placed = plan.onloading & plan.occurs & (np.rint(np.nan_to_num(plan.value)) != 0)
    duals = duals_of(proof if own_results else Proof(), model, plan.constraints)
    table_of_rows = _rows_table(plan, constraints, signs, rows, demands, duals)
    missed, miss_notes = _missed(plan, rows)
    missed_too, set_notes = missed_sets(plan, model)
    return PlanReport(
        summary=_summary(
            plan,
            model,
            proof if own_results else Proof(solver=proof.solver),
            (int(np.count_nonzero(placed)), int(np.count_nonzero(routed))),
            table_of_rows,
            missed + missed_too,
            (*miss_notes, *set_notes, *notes),
        ),
        placed=_placed_table(plan, variables, np.flatnonzero(placed), through),
        routed=_routed_table(plan, variables, np.flatnonzero(routed), demands),
        rows=table_of_rows,
        components=by_component(table_of_rows, [address.component for address in constraints]),
        candidates=_by_component(variables, np.flatnonzero(plan.occurs)),
        dimensions=_dimensions(plan, variables),
        given_names=addresses.given_names,
    )


# --- values ---------------------------------------------------------------------------------------------


def _with_values(plan: HeldPlan, proof: Proof, model: BlockData) -> tuple[HeldPlan, tuple[str, ...], bool]:
    """Return the plan with the values to report, what is to be said of them, and whether results are theirs.

    The model's own values count, unless it holds none or they are older than the results, which hold theirs.
    """
    values = proof.values_of(plan.variables)
    apart = values is not None and _apart(plan, values)
    notes: tuple[str, ...] = ()
    if values is not None and (len(plan.missing) or (apart and not proof.loaded and plan.is_stale)):
        held = plan.holding(np.where(np.isnan(values), plan.value, values))
        if not len(held.missing):
            plan, apart = held, False
            notes = ("The values are those of the results; the model does not hold them.",)
    if len(plan.missing):
        names = [plan.variables[i].name for i in plan.missing]
        has = "holds no value" if len(names) == 1 else "hold no values"
        said = f"; the results say: {proof.message}" if proof.message and proof.objective is None else ""
        raise ModelError(
            f"{the_model(model)} has no plan to report: {listed(names)} {has}; solve it first, and check "
            f"that a plan was found{said}"
        )
    if proof.objective is None:
        return plan, notes, True
    left_out = "so bound, status and duals of the results are left out."
    if not _same(plan.objective_value, proof.objective):
        note = (
            f"The values give an objective of {plan.objective_value:.8g}, and the results have "
            f"{proof.objective:.8g}: model or values have changed since the solve, {left_out}"
        )
    elif apart:
        note = (
            f"The model's values are not those of the results: they have changed since the solve, {left_out}"
        )
    elif not proof.is_of(plan.read):
        note = f"The model has changed since the solve, {left_out}"
    else:
        return plan, notes, True
    return plan, (*notes, note), False


def _apart(plan: HeldPlan, values: FloatArray) -> bool:
    """Return whether the model holds other values than these, (V,), by more than tolerances."""
    mine = plan.occurs & ~np.isnan(values)
    return not np.allclose(plan.value[mine], values[mine], rtol=TOLERANCE, atol=TOLERANCE)


def _same(one: float, other: float | None) -> bool:
    return other is not None and math.isclose(
        one, other, rel_tol=_PARAMS.same_objective, abs_tol=_PARAMS.same_objective
    )


def _missed(plan: HeldPlan, rows: Fullness) -> tuple[int, tuple[str, ...]]:
    """Return how many rows, bounds and whole numbers the plan misses, and sentences on the worst."""
    notes = []
    missed = np.flatnonzero(rows.missed)
    if len(missed):
        miss = np.abs(rows.slack[missed]) / np.maximum(1.0, np.abs(rows.limit[missed]))
        worst = missed[np.argmax(miss)]
        notes.append(
            f"This is no plan: it misses {_counted(len(missed), 'row')}, most of all "
            f"'{plan.constraints[worst].name}', by {abs(rows.slack[worst]):.4g}."
        )
    mine = np.flatnonzero(plan.occurs)
    held = plan.value[mine]
    lower, upper = _bounds(plan, mine)
    allowed = TOLERANCE * np.maximum(1.0, np.abs(held))
    outside = mine[(held < lower - allowed) | (held > upper + allowed)]
    if len(outside):
        notes.append(
            f"This is no plan: {_counted(len(outside), 'variable')} outside of the bounds, "
            f"{listed([plan.variables[i].name for i in outside])}."
        )
    x = np.flatnonzero(plan.onloading & plan.occurs)
    broken = x[np.abs(plan.value[x] - np.rint(plan.value[x])) > INTEGRAL]
    if len(broken):
        notes.append(
            f"This is no plan: {_counted(len(broken), 'onloading variable')} without a whole number, "
            f"{listed([plan.variables[i].name for i in broken])}."
        )
    return len(missed) + len(outside) + len(broken), tuple(notes)


def _bounds(plan: HeldPlan, positions: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of variables, domains counted in, infinite ones where there are none."""
    pairs = [plan.variables[i].bounds for i in positions]
    lower = np.array([-math.inf if low is None else low for low, _ in pairs], dtype=float)
    upper = np.array([math.inf if high is None else high for _, high in pairs], dtype=float)
    return lower, upper


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


# --- tables ---------------------------------------------------------------------------------------------


def _summary(
    plan: HeldPlan,
    model: BlockData,
    proof: Proof,
    counts: tuple[int, int],
    rows: Table,
    missed: int,
    notes: tuple[str, ...],
) -> Summary:
    """Return the summary; `counts` are those of what is placed and routed."""
    objective = plan.objective_value
    occurring = plan.onloading[plan.occurs]
    known = proof.bound is not None and not missed
    return Summary(
        model=model.name,
        objective_name=plan.objective.name,
        sense="maximize" if plan.sense > 0 else "minimize",
        objective=objective,
        bound=proof.bound,
        gap=relative_gap(objective, proof.bound) if known and proof.bound is not None else None,
        status="no plan" if missed else proof.status,
        solver=proof.solver,
        message=proof.message,
        seconds=proof.seconds,
        onloading=int(np.count_nonzero(occurring)),
        placed=counts[0],
        offloading=int(np.count_nonzero(~occurring)),
        routed=counts[1],
        rows=plan.n_rows,
        binding=sum(row["status"] == "binds" and row["kind"] in ("limit", "requirement") for row in rows),
        missed=missed,
        notes=notes,
    )


def _placed_table(plan: HeldPlan, addresses: list[Address], placed: IntArray, through: Carried) -> Table:
    first = _numbers(addresses)
    cost = plan.objective_terms
    order = np.lexsort((placed, -np.abs(cost[placed]), -through.amount[placed], first[placed]))
    rows = []
    for i in placed[order].tolist():
        opens = through.possible[i] > 0
        own = (
            *_named(plan.variables[i], addresses[i]),
            round(plan.value[i]),
            int(through.serves[i]) if opens else None,
            float(through.amount[i]) if opens else None,
            float(cost[i]) + 0.0,
        )
        rows.append(dict(zip(_PLACED, own, strict=True)))
    return Table(_PLACED, rows)


def _routed_table(plan: HeldPlan, addresses: list[Address], routed: IntArray, demands: Demands) -> Table:
    first = _numbers(addresses)
    cost = plan.objective_terms
    # Amounts that differ by rounding are alike.
    size = np.round(np.abs(plan.value[routed]), 9)
    order = np.lexsort((routed, -np.abs(cost[routed]), -size, first[routed]))
    names = {int(r): plan.constraints[r].name for r in np.unique(demands.row[routed]) if r >= 0}
    rows = []
    for i in routed[order].tolist():
        served = int(demands.row[i])
        own = (
            *_named(plan.variables[i], addresses[i]),
            float(plan.value[i]),
            float(demands.share[i]) if served >= 0 else None,
            names.get(served),
            float(cost[i]) + 0.0,
        )
        rows.append(dict(zip(_ROUTED, own, strict=True)))
    return Table(_ROUTED, rows)


def _rows_table(
    plan: HeldPlan,
    addresses: list[Address],
    signs: Signs,
    rows: Fullness,
    demands: Demands,
    duals: FloatArray | None,
) -> Table:
    kinds = _kinds(plan, signs, rows, demands)
    status = np.full(plan.n_rows, "slack", dtype=object)
    for word, mask in (("closed", rows.closed), ("binds", rows.binds), ("missed", rows.missed)):
        status[mask] = word
    price = np.full(plan.n_rows, np.nan) if duals is None else duals
    rank = np.select(
        [rows.missed, kinds == "link", (kinds == "demand") | (kinds == "equation")], [0, 3, 2], 1
    )
    fullness = np.round(np.nan_to_num(rows.fullness, nan=-1.0), 9)
    order = np.lexsort((np.arange(plan.n_rows), -np.abs(np.nan_to_num(price)), -fullness, rank))
    found = []
    for r in order.tolist():
        own = (
            *_named(plan.constraints[r], addresses[r]),
            kinds[r],
            float(rows.used[r]),
            RELATIONS[rows.relation[r]],
            float(rows.limit[r]),
            float(rows.slack[r]),
            _number(rows.fullness[r]),
            status[r],
            _number(price[r]),
        )
        found.append(dict(zip(_ROWS, own, strict=True)))
    return Table(_ROWS, found)


def _kinds(plan: HeldPlan, signs: Signs, rows: Fullness, demands: Demands) -> Any:
    """Return the kind of each row, (R,)."""
    return np.select(
        [
            links_of(plan, signs, rows, demands),
            demands.is_demand,
            rows.relation == EQUAL,
            rows.relation == AT_LEAST,
        ],
        ["link", "demand", "equation", "requirement"],
        "limit",
    ).astype(object)


def _named(member: Any, address: Address) -> tuple[str, Index, str]:
    return address.component, address.indices, member.name


def _number(number: Any) -> float | None:
    return float(number) if math.isfinite(number) else None


def _numbers(addresses: Iterable[Address]) -> IntArray:
    """Return a number for the component of each address, in the order in which components occur."""
    known: dict[str, int] = {}
    numbers = [known.setdefault(one.component, len(known)) for one in addresses]
    return np.array(numbers, dtype=np.int64)


def _by_component(addresses: list[Address], positions: IntArray) -> dict[str, list[Index]]:
    found: dict[str, list[Index]] = {}
    for i in positions.tolist():
        found.setdefault(addresses[i].component, []).append(addresses[i].indices)
    return found


def _dimensions(plan: HeldPlan, addresses: list[Address]) -> dict[str, tuple[str, ...]]:
    """Return the names of the sets that index each component of variables."""
    found: dict[str, tuple[str, ...]] = {}
    for variable, address in zip(plan.variables, addresses, strict=True):
        if address.component not in found:
            sets: tuple[str, ...] = ()
            block: Any = variable.parent_component()
            while block is not None and len(sets) < len(address.indices):
                sets = names_of_dimensions(block) + sets
                block = block.parent_block()
                block = None if block is None else block.parent_component()
            found[address.component] = (
                sets if len(sets) == len(address.indices) else ("",) * len(address.indices)
            )
    return found
