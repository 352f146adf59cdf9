"""Exercise 3 (45 minutes): an observer.

`callback` is called with the record of every iteration. Its fields that matter here:

    record.time        seconds since the call of solve()
    record.incumbent   objective of the best plan so far; infinite before there is one
    record.bound       proven: no plan is better than this

How good a search is has two sides, quality and time. The primal integral (Berthold 2013, DOI
10.1016/j.orl.2013.08.007) puts them into one number: the area below the primal gap

    p(t) = 1                                                        before the first plan
    p(t) = |best - incumbent| / max(|best|, |incumbent|)            afterwards; 0 if both are equal

from 0 to the time T at which the measurement ends. Smaller is better, and it is at most T.
"""


class Observer:
    """Sees the records of one solve: ``solve(model, callback=Observer())``."""

    def __init__(self):
        self.records = []

    def __call__(self, record):
        """Keep a record."""
        self.records.append(record)

    def time_to(self, gap):
        """Return the time of the first record whose gap is at most `gap`; None if there is none.

        The gap is |bound - incumbent| / |incumbent|. It is infinite without a plan.
        """
        for record in self.records:
            if abs(record.bound - record.incumbent) <= gap * abs(record.incumbent) < float("inf"):
                return record.time
        return None

    def primal_integral(self, best, until):
        """Return the area below the primal gap from 0 to `until`, in seconds.

        Parameters
        ----------
        best
            The objective of the best plan that is known.
        until
            In seconds. Records after that time do not count.
        """
        area, time, gap = 0.0, 0.0, 1.0
        for record in self.records:
            if record.time > until:
                break
            area += gap * (record.time - time)
            time, found = record.time, record.incumbent
            if abs(found) < float("inf"):
                gap = 0.0 if found == best else abs(best - found) / max(abs(best), abs(found))
        return area + gap * (until - time)
