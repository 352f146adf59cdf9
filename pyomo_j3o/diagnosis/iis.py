"""The search for irreducible infeasible subsystems (IIS) of one independent part.

Three steps find one. First, an elastic LP lets every row give way at a price. If it has to pay, the rows with
a dual in it conflict (Chinneck and Dravnieks 1991, DOI 10.1287/ijoc.3.2.157). If it does not, integrality
alone can leave no plan: rows are added to a MILP as long as its points violate some. Second, deletion, row by
row, makes the set irreducible. Third, the conflict is relieved at the least cost, and the search goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from pyomo_j3o.core.deadline import Deadline
from pyomo_j3o.core.log import counted
from pyomo_j3o.core.problem import FloatArray, IntArray
from pyomo_j3o.diagnosis.params import ConflictParams
from pyomo_j3o.diagnosis.subsystems import Growth, InfeasibleSubsystem, Members, Telling
from pyomo_j3o.diagnosis.system import NO_DUAL, ROW, TOLERANCE, System
from pyomo_j3o.diagnosis.whole_rows import impossible_row, least_in_units, row_that_never_holds
from pyomo_j3o.lp import HighsBackend, LPStatus

_NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(slots=True)
class Search:
    """The conflicts of one independent part, one after another.

    Attributes
    ----------
    system : System
        The part.
    deadline : Deadline
        The time that is left for all parts.
    details : bool
        Whether to look for ties, too, and among several sets of rows for the smallest.
    family : (S,)
        Of each member, the number of the component that it belongs to.
    params : ConflictParams
    tell : Telling
    conflicts : list of InfeasibleSubsystem
        What was found.
    unknown : bool
        Whether time ended before it was known if there is a plan.
    complete : bool
        Whether there is a plan once these conflicts are relieved.
    interrupted : bool
        Whether Ctrl-C ended the search.
    """

    system: System
    deadline: Deadline
    details: bool
    family: IntArray
    params: ConflictParams = field(default_factory=ConflictParams)
    tell: Telling = field(default_factory=Telling)
    conflicts: list[InfeasibleSubsystem] = field(default_factory=list)
    unknown: bool = False
    complete: bool = True
    interrupted: bool = False
    #: Conflicts as members of the system, what each of their sides needs alone, and rows that conflict but
    #: of which not all may be needed.
    _found: list[Members] = field(default_factory=list)
    _alone: list[list[Growth | None]] = field(default_factory=list)
    _reducible: IntArray = field(default_factory=lambda: _NOTHING)

    def ask(self) -> None:
        """Find out whether there is a plan."""
        deadline = self.deadline.share(self.params.share_of_question)
        try:
            self.complete = self.system.status(self.system.everything(), deadline) is LPStatus.OPTIMAL
        except KeyboardInterrupt:
            self.interrupted = True

    def run(self, most: int) -> None:
        """Find up to `most` conflicts; relieve each before the next. Ctrl-C leaves what is found by then."""
        original = self.system.side.copy()
        try:
            self._one_after_another(most)
            self._ask_each_side()
        except KeyboardInterrupt:
            self.interrupted, self.complete = True, False
            if len(self._reducible):
                self._found.append(Members(self._reducible, _NOTHING, False, False))
        unasked: list[list[Growth | None]] = [
            [None] * len(members.core) for members in self._found[len(self._alone) :]
        ]
        for members, alone in zip(self._found, [*self._alone, *unasked], strict=True):
            self.conflicts.append(
                InfeasibleSubsystem(
                    sides=tuple(self.system.side_of(member) for member in members.core),
                    ties=tuple(self.system.side_of(member) for member in members.ties),
                    irreducible=members.irreducible,
                    ties_irreducible=members.ties_irreducible,
                    alone=tuple(alone),
                    together=() if members.slack is None else tuple(members.slack.tolist()),
                )
            )
        self.system.side = original

    def _one_after_another(self, most: int) -> None:
        """Find conflicts, each with those before it relieved; leave all of them relieved."""
        while True:
            never = row_that_never_holds(self.system) if not self.deadline.over else _NOTHING
            supports = [never] if len(never) else self._infeasible_rows()
            if supports is None:
                self.complete = not self.unknown
                return
            if len(self._found) >= most:
                self.complete = False
                self._relieve_rows()
                return
            members = (
                Members(never, _NOTHING, True, True, never=True)
                if len(never)
                else self._irreducible(supports)
            )
            self._found.append(members)
            self._reducible = _NOTHING
            self.tell.conflict([self.system.side_of(member) for member in members.core])
            slack, plan_exists = self._relief(members)
            self._found[-1] = replace(members, slack=slack)
            if slack is None:
                self.complete = False
                return
            self.system.move(members.core, slack)
            if plan_exists:
                return

    # --- relief ----------------------------------------------------------------------------------------

    def _relief(self, members: Members) -> tuple[FloatArray | None, bool]:
        """Return the cheapest change of a conflict, None if there is none, and whether a plan exists then."""
        system, core = self.system, members.core
        everything = system.everything()
        relief = system.relieve(everything, core, self._seconds_of_relief(members))
        if relief.found:
            return relief.slack, True
        # There are other conflicts. What can these rows do, whatever it takes elsewhere?
        others = np.setdiff1d(system.rows(), core)
        relief = system.relieve(everything, core, self._seconds_of_relief(members), others)
        if not relief.found:
            # What can they do by themselves?
            around = np.concatenate([core, members.ties]) if self.details else self._with_surroundings(core)
            relief = system.relieve(around, core, self._seconds_of_relief(members))
        return (relief.slack if relief.found else None), False

    def _relieve_rows(self) -> None:
        """Relieve what conflicts are left, so that a side can be asked with all of them relieved."""
        rows = self.system.rows()
        relief = self.system.relieve(
            self.system.everything(), rows, self._seconds(self.params.share_of_relief)
        )
        if relief.found:
            self.system.move(rows, relief.slack)

    def _ask_each_side(self) -> None:
        """Ask per conflict and side what makes it enough to change this side alone.

        Every conflict but the one in question stays relieved. The time is shared by the components, and
        within each by its sides.
        """
        system, found = self.system, self._found
        relieved = system.side.copy()
        families_left = [len(np.unique(self.family[members.core])) for members in found]
        for number, members in enumerate(found):
            core = members.core
            alone: list[Growth | None] = [None] * len(core)
            self._alone.append(alone)
            if members.slack is not None:
                system.side = relieved.copy()
                system.move(core, -members.slack)
                self._ask_sides(members, alone, families_left[number:])
                self._cheapest_alone(members.slack, alone)

    def _cheapest_alone(self, slack: FloatArray, alone: list[Growth | None]) -> None:
        """Take over the cheapest change of all of the one conflict if it is one of a single side."""
        moved = np.flatnonzero(slack > 0)
        if not self.complete or len(self._found) > 1 or len(moved) != 1:
            return
        k, amount = int(moved[0]), float(slack[moved[0]])
        nearest = alone[k]
        if nearest is None or amount < nearest.amount:
            alone[k] = Growth(amount, 0.0 if nearest is None else min(nearest.least, amount))

    def _ask_sides(self, members: Members, alone: list[Growth | None], families_left: Sequence[int]) -> None:
        """Ask the sides of one conflict, and put the answers into `alone`.

        Parameters
        ----------
        members
            The conflict.
        alone
            One entry for each of its sides.
        families_left
            How many components this conflict, and each one after it, has.
        """
        core, left = members.core, list(families_left)
        # A side that is the only one of its component comes first: a remedy is looked for there.
        _, family, count = np.unique(self.family[core], return_inverse=True, return_counts=True)
        sides_left, unanswered = count.copy(), np.zeros(len(count), dtype=np.int64)
        for asked, k in enumerate(np.lexsort((family, count[family])).tolist(), 1):
            mine = family[k]
            if unanswered[mine] < self.params.unanswered:
                self.tell.say(f"what row {asked} of {len(core)} needs by itself")
                seconds = self._seconds(1.0 / (sides_left[mine] * max(sum(left), 1)))
                if members.never:
                    seconds = min(seconds, self.params.seconds_of_never)
                alone[k] = self._growth(int(core[k]), seconds)
                # Where time did not do for some sides of a component, it seldom does for the others.
                unanswered[mine] = 0 if alone[k] is not None else unanswered[mine] + 1
            sides_left[mine] -= 1
            left[0] -= int(sides_left[mine] == 0)

    def _growth(self, member: int, seconds: float) -> Growth | None:
        """Return by how much one side has to give way, None if it was not found in time."""
        system, deadline = self.system, Deadline(seconds)
        relief = system.relieve(system.everything(), np.array([member]), seconds)
        if relief.status is LPStatus.INFEASIBLE:
            return Growth(np.inf, np.inf)
        if not relief.found:
            return None
        growth = Growth(float(relief.slack[0]), relief.least * float(system.size[member]))
        grain = system.grain[member]
        if grain == 0:
            return growth
        if growth.amount <= 0:
            return None  # the point at hand satisfies this row exactly, and the others up to rounding
        if growth.amount > grain >= self.params.fine * system.size[member]:
            return growth
        return Growth(*least_in_units(system, member, growth.amount, deadline))

    def _seconds_of_relief(self, members: Members) -> float:
        seconds = self._seconds(self.params.share_of_relief)
        return min(seconds, self.params.seconds_of_never) if members.never else seconds

    def _seconds(self, fraction: float) -> float:
        return self.deadline.share(fraction).left()

    def _with_surroundings(self, core: IntArray) -> IntArray:
        """Return `core` with all ties and bounds, if it is one of rows; else `core`."""
        system = self.system
        return np.union1d(core, system.surroundings()) if np.any(system.kind[core] == ROW) else core

    # --- a first set of rows ---------------------------------------------------------------------------

    def _infeasible_rows(self) -> list[IntArray] | None:
        """Return sets of rows that conflict together with ties and bounds, or None if none was found.

        An empty set says that ties and bounds conflict without any row.
        """
        system = self.system
        alone = system.beyond_bounds()
        if len(alone):
            return [alone]
        self.tell.say("a first set of rows, by elastic LPs")
        supports = self._elastic_supports()
        if supports is not None:
            return supports
        deadline = self.deadline.share(self.params.share_of_rows)
        status = system.status(system.everything(), deadline)
        if status is LPStatus.TIME_LIMIT:
            impossible = impossible_row(system, self.deadline.share(0.5))
            if len(impossible):
                return [impossible]
        if status is not LPStatus.INFEASIBLE:
            self.unknown = self.unknown or status is not LPStatus.OPTIMAL
            return None
        rows = system.rows()
        grown = self._grow(rows, system.surroundings(), deadline)
        return [grown if grown is not None else rows]

    def _elastic_supports(self) -> list[IntArray] | None:
        """Return sets of rows that have a dual in elastic LPs, smallest first; None if no row gives way."""
        system = self.system
        deadline = self.deadline.share(self.params.share_of_rows)
        if deadline.over:
            return None
        rows = system.rows()
        weight = 1.0 / system.size[rows]
        rng = np.random.default_rng(0)
        program = HighsBackend().open(system.elastic(system.everything(), rows, weight))
        found: dict[bytes, IntArray] = {}
        try:
            for trial in range(self.params.weightings):
                if trial:
                    price = weight * np.exp(rng.normal(0.0, 1.0, len(weight)))
                    program.set_objective(np.concatenate([np.zeros(system.n_columns), -price]))
                solution = program.solve(deadline.left())
                if solution.status is LPStatus.INFEASIBLE and not trial:
                    return [_NOTHING]
                if solution.status is not LPStatus.OPTIMAL:
                    break
                violation = weight * solution.values[system.n_columns :]
                if not trial and np.max(violation, initial=0.0) <= TOLERANCE:
                    return None
                for group in self._groups_with_duals(rows, violation, solution.row_duals):
                    found[group.tobytes()] = group
        finally:
            program.close()
        return sorted(found.values(), key=len) or None

    def _groups_with_duals(self, rows: IntArray, violation: FloatArray, duals: FloatArray) -> list[IntArray]:
        """Return the rows with a dual, group by group that shares no column, where some row gives way."""
        system = self.system
        bearing = np.where(system.upper[rows], 1.0, -1.0) * duals[system.index[rows]] * system.size[rows]
        least = NO_DUAL * max(float(bearing.max(initial=0.0)), 1e-300)
        groups = system.independent_groups(rows[bearing > least], duals)
        return [group for group in groups if np.any(violation[np.isin(rows, group)] > TOLERANCE)]

    def _grow(self, rows: IntArray, around: IntArray, deadline: Deadline) -> IntArray | None:
        """Add rows that points violate until no point is left; None if time ends first."""
        system = self.system
        chosen = np.zeros(len(system.kind), dtype=bool)
        of_rows = np.zeros(len(system.kind), dtype=bool)
        of_rows[rows] = True
        while True:
            status, values = system.point(np.union1d(np.flatnonzero(chosen), around), deadline)
            if status is LPStatus.INFEASIBLE:
                return np.flatnonzero(chosen)
            if status is not LPStatus.OPTIMAL:
                return None
            missed = system.violated(values) & of_rows & ~chosen
            if not missed.any():
                return None
            chosen |= missed

    # --- irreducible -----------------------------------------------------------------------------------

    def _irreducible(self, supports: list[IntArray]) -> Members:
        """Return the smallest irreducible set of rows made of `supports`, and its ties."""
        system = self.system
        deadline = self.deadline.share(self.params.share_of_rows)
        core, proven = self._smallest(supports, deadline)
        of_equality = self._of_one_equality(core, deadline)
        if of_equality is not None:
            return Members(of_equality, _NOTHING, True, True)
        around = system.surroundings()
        if not len(core):
            # Ties and bounds conflict by themselves.
            kept, proven = self._delete_grown(around, _NOTHING, deadline)
            return Members(np.sort(kept), _NOTHING, proven, True)
        self._reducible = core
        if not self.details:
            return Members(core, around, proven, False)
        kept, ties_proven = self._delete_grown(around, core, self.deadline.share(self.params.share_of_ties))
        return Members(core, np.sort(kept), proven, ties_proven)

    def _smallest(self, supports: list[IntArray], deadline: Deadline) -> tuple[IntArray, bool]:
        """Return the smallest set that deletion makes of `supports`, and whether it is proven irreducible."""
        system = self.system
        around, rows = system.surroundings(), system.rows()
        best: IntArray | None = None
        proven = False
        tried = 0
        for support in [*supports, rows]:
            if best is not None and (tried >= self.params.sets or not self.details or deadline.over):
                break
            # A dual that counted as rounding may have been none: then the support has a plan.
            if system.status(np.union1d(support, around), deadline) is not LPStatus.INFEASIBLE and not (
                best is None and support is rows
            ):
                continue
            if best is None:
                self._reducible = support
            self.tell.say(f"which of {counted(len(support), 'row')} in conflict are needed")
            kept, sure = self._delete(support, around, deadline)
            tried += 1
            if best is None or (sure, -len(kept)) > (proven, -len(best)):
                best, proven = kept, sure
        assert best is not None
        return best, proven

    def _of_one_equality(self, core: IntArray, deadline: Deadline) -> IntArray | None:
        """Return the sides of an equality over x in `core` that conflict by themselves, as 2 a = 1 does."""
        system = self.system
        integer, matrix = np.asarray(system.model.integer), sparse.csr_array(system.model.matrix)
        for row in dict.fromkeys(system.index[core[system.kind[core] == ROW]].tolist()):
            sides = np.flatnonzero((system.index == row) & (system.kind == ROW))
            of_row = matrix[[row]].indices
            if len(sides) < 2 or len(core) == 1 or not np.all(integer[of_row]):
                continue
            if np.all(np.isin(core, sides)):
                return None
            if system.status(sides, deadline) is LPStatus.INFEASIBLE:
                kept, sure = self._delete(sides, _NOTHING, deadline)
                return kept if sure else None
        return None

    def _delete_grown(self, members: IntArray, around: IntArray, deadline: Deadline) -> tuple[IntArray, bool]:
        """Take ties and bounds out of those that conflict with `around`, or of all if these are not found."""
        grown = self._grow(members, around, deadline)
        candidates = members if grown is None else grown
        return self._delete(self.system.bounds_first(candidates), around, deadline)

    def _delete(self, members: Iterable[int], around: IntArray, deadline: Deadline) -> tuple[IntArray, bool]:
        """Take out members, in ever smaller groups, as long as the rest has no plan; the first ones first.

        Returns
        -------
        IntArray
            What is left.
        bool
            Whether it is proven irreducible.
        """
        kept = np.fromiter(members, dtype=np.int64)
        sure = True
        size = max(len(kept) // 2, 1)
        while len(kept):
            first = 0
            while first < len(kept):
                if deadline.over:
                    return kept, False
                rest = np.concatenate([kept[:first], kept[first + size :]])
                status = self.system.status(np.union1d(rest, around), deadline)
                if status is LPStatus.INFEASIBLE:
                    kept = rest
                    continue
                sure = sure and (size > 1 or status is LPStatus.OPTIMAL)
                first += size
            if size == 1:
                break
            size = max(size // 2, 1)
        return kept, sure
