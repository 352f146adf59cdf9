"""j3o behind Pyomo's classic interface: options by mapping or name, classic results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TextIO

from pyomo.common.config import ConfigDict
from pyomo.contrib.solver.common.base import LegacySolverWrapper
from pyomo.contrib.solver.common.results import Results, SolutionStatus
from pyomo.contrib.solver.common.solution_loader import SolutionLoader
from pyomo.core.base.block import BlockData
from pyomo.core.base.suffix import Suffix
from pyomo.opt.results.results_ import SolverResults

from pyomo_j3o.core.results import PHASES
from pyomo_j3o.errors import OptionError
from pyomo_j3o.interface.notebook import ClassicResults
from pyomo_j3o.interface.options import (
    CLASSIC_NAMES,
    Options,
    Truth,
    is_given,
    option_errors,
)
from pyomo_j3o.interface.solver import J3O, BatchingJ3O, ExactJ3O

logger = logging.getLogger("pyomo_j3o")


@contextmanager
def _log_file(path: Any) -> Iterator[TextIO]:
    """Open a file for the log; that the disk is full by the end is no reason to lose the results."""
    file = open(path, "w", encoding="utf-8")  # noqa: SIM115 (closing it may fail)
    try:
        yield file
    finally:
        with suppress(OSError):  # the log has warned of it already
            file.close()


#: Keywords of classic solvers that say nothing to j3o: there is no file, and no other way in.
_WITHOUT_EFFECT = ("keepfiles", "solnfile", "report_timing", "file_determinism", "writer_config", "suffixes")


class _AllTrue(LegacySolverWrapper._all_true):
    """Says of every capability that it is there; copies and pickles."""

    def __getattr__(self, name: str) -> bool:
        if name.startswith("__"):
            raise AttributeError(name)
        return True


class LegacyJ3O(LegacySolverWrapper, J3O):
    """`J3O` behind Pyomo's classic interface: options by `options` or by name, classic results."""

    def __init__(self, **kwds: Any) -> None:
        self._ignore_interface(kwds.pop("solver_io", None))
        given = {CLASSIC_NAMES.get(name, name): value for name, value in kwds.items()}
        options = _as_mapping(given.pop("options", None))
        given.pop("executable", None)  # the `pyomo` command may name one; there is none to run
        # The wrapper's own methods come before those of the solver.
        super(LegacySolverWrapper, self).__init__(**given)
        object.__setattr__(self, "options", Options(self.config))
        self._capabilities = _AllTrue()
        self.options.update(options)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "options" and name in self.__dict__:
            self.options.update(_as_mapping(value))
        else:
            super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["options"] = Options(self.config)

    def solve(self, model: BlockData, **kwds: Any) -> SolverResults:
        """Solve a model; every option of `J3O` may be given, for this call only.

        Returns
        -------
        SolverResults
            Classic results; `.j3o` holds the new ones.
        """
        self._ignore_interface(kwds.pop("solver_io", None))
        logfile = kwds.pop("logfile", None)
        timing = bool(kwds.get("report_timing"))
        call: dict[str, Any] = {}
        if not is_given(self.config, "raise_exception_on_nonoptimal_result"):
            call["raise_exception_on_nonoptimal_result"] = False
        for source in (_as_mapping(kwds.pop("options", None)), kwds):
            for name, value in source.items():
                if name in _WITHOUT_EFFECT or (value is None and name in ("timelimit", "solver_options")):
                    continue
                call[CLASSIC_NAMES.get(name, name)] = value
        load = call.get("load_solutions", self.config.load_solutions)
        with ExitStack() as stack:
            if logfile is not None:
                streams = call.get("tee", self.config.tee)
                streams = list(streams) if isinstance(streams, (list, tuple)) else [streams]
                call["tee"] = [*streams, stack.enter_context(_log_file(logfile))]
            results: Results = super(LegacySolverWrapper, self).solve(model, **call)
        classic, solution = self._map_results(model, results)
        classic.__class__ = ClassicResults
        for number in ("number_of_variables", "number_of_constraints"):
            if number in results.extra_info:
                setattr(classic.problem, number, results.extra_info[number])
        # Pyomo prints a colon of a message as \\x3a.
        message = results.extra_info.message.replace("ended by: ", "ended by ").replace(": ", ", ")
        if results.solution_status == SolutionStatus.feasible:
            # Whoever reads the classic condition `optimal` of a converged solve finds the truth beside it.
            message = f"NOT proven optimal. {message}"
        classic.solver.message = classic.solver.termination_message = message
        classic.solver.wallclock_time = results.timing_info.wall_time
        classic = self._solution_handler(load, model, results, classic, solution)
        classic.j3o = results
        if timing:
            print("\n".join(f"{name:>10} {results.timing_info[name]:8.3f} s" for name in PHASES))
        return classic

    def _solution_handler(
        self,
        load_solutions: bool,
        model: BlockData,
        results: Results,
        legacy_results: SolverResults,
        legacy_soln: Any,
    ) -> SolverResults:
        """Put an unloaded plan where ``model.solutions.load_from(results)`` finds it."""
        legacy_results._smap_id = None
        if results.incumbent_objective is None:
            pass
        elif load_solutions:
            # What the `pyomo` command reports of a solve is what the model notes of its solutions.
            if hasattr(model, "solutions"):
                legacy_soln._cuid = False
                model.solutions.clear()
                model.solutions.add_solution(legacy_soln, None, cache={None: None})
        else:
            _store(results.solution_loader, model, legacy_results, legacy_soln)
        legacy_results.timing_info = results.timing_info.value()
        return legacy_results

    def set_options(self, options: Any) -> None:
        """Take options from the `pyomo` command: a mapping, or a string "name=value name=value"."""
        given = {name: value for name, value in _as_mapping(options).items() if value is not None}
        if "tee" in given:
            given["tee"] = Truth("tee")(given["tee"])
        with option_errors():
            self.options.update(given)

    def warm_start_capable(self) -> bool:
        """Return True: see the option `warm_start`."""
        return True

    @staticmethod
    def _ignore_interface(solver_io: Any) -> None:
        """Take any ``solver_io``: code that serves many solvers, oemof.solph for one, always names a file."""
        if solver_io is not None:
            logger.debug("solver_io=%r says nothing to j3o, which reads the model itself.", solver_io)


def _as_mapping(options: Any) -> Mapping[str, Any]:
    """Read options as the classic interface and the `pyomo` command give them."""
    if options is None:
        return {}
    if isinstance(options, ConfigDict):
        return dict(options.value())
    if isinstance(options, str):
        options = [part.partition("=") for part in options.split()]
        if all(middle for _, middle, _ in options):
            return {name: value for name, _, value in options}
    elif isinstance(options, Mapping):
        return options
    raise OptionError(f"options={options!r} cannot be read; give a dictionary, or 'name=value name=value'")


def _store(loader: SolutionLoader, model: BlockData, results: SolverResults, solution: Any) -> None:
    from pyomo.core.base import SymbolMap
    from pyomo.core.base.label import NumericLabeler

    symbols = solution.symbol_map = SymbolMap()
    symbols.default_labeler = NumericLabeler("x")
    for variable, value in loader.get_vars().items():
        solution.variable[symbols.getSymbol(variable)] = {"Value": value}
    if _imports(model, "dual"):
        for constraint, value in loader.get_duals().items():
            solution.constraint[symbols.getSymbol(constraint)] = {"Dual": value}
    if _imports(model, "rc"):
        for variable, value in loader.get_reduced_costs().items():
            solution.variable[symbols.getSymbol(variable)]["Rc"] = value
    results.solution.insert(solution)
    results._smap_id = id(symbols)
    results._smap = symbols


def _imports(model: BlockData, name: str) -> bool:
    suffix = model.component(name)
    return isinstance(suffix, Suffix) and suffix.import_enabled()


class LegacyExactJ3O(LegacyJ3O, ExactJ3O):
    """`ExactJ3O` behind Pyomo's classic interface."""

    CONFIG = ExactJ3O.CONFIG
    name = ExactJ3O.name


class LegacyBatchingJ3O(LegacyJ3O, BatchingJ3O):
    """`BatchingJ3O` behind Pyomo's classic interface."""

    CONFIG = BatchingJ3O.CONFIG
    name = BatchingJ3O.name


class RefusedOptions:
    """What the classic factory returns where an option was refused: every use raises the `OptionError`.

    Pyomo's factory turns all that a constructor raises into a traceback in the log, and returns a solver
    whose errors no longer name the option.

    Parameters
    ----------
    message
        Of the error.
    """

    def __init__(self, message: str) -> None:
        object.__setattr__(self, "_message", message)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise OptionError(self._message)

    def __setattr__(self, name: str, value: Any) -> None:
        raise OptionError(self._message)

    def __bool__(self) -> bool:
        raise OptionError(self._message)

    def __enter__(self) -> Any:
        raise OptionError(self._message)

    def __exit__(self, *error: object) -> None:
        """Have nothing to close."""


def for_factory(solver: type[LegacyJ3O]) -> Callable[..., LegacyJ3O | RefusedOptions]:
    """Return what the classic factory is to call: the class, with refused options told at once and at use."""

    def create(**kwds: Any) -> LegacyJ3O | RefusedOptions:
        try:
            return solver(**kwds)
        except OptionError as error:
            logger.warning("SolverFactory(%r): %s", solver.name, error)
            return RefusedOptions(str(error))

    create.__doc__ = solver.__doc__
    return create
