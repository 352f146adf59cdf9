"""What a user can do about how a solve ended, in the words of Python or of the command line."""

from __future__ import annotations


class Remedies:
    """In Python."""

    def option(self, name: str, value: str = "") -> str:
        """Return how an option is written, or what sets it to a value."""
        return f"{name}={value!r}" if value else name

    def after_interrupt(self, held: bool) -> str:
        """Return one sentence on how to go on after Ctrl-C.

        Parameters
        ----------
        held
            Whether the model's variables hold the plan.
        """
        return f"To go on from this plan, {'' if held else 'load it, and '}solve again with warm_start=True."

    def of_conflict(self) -> str:
        """Return how to learn which rows conflict."""
        return "; pyomo_j3o.explain_infeasibility(model) names those that conflict."


class CommandLineRemedies(Remedies):
    """On the command line."""

    def option(self, name: str, value: str = "") -> str:
        """Return how an option is written, or what sets it to a value."""
        option = "--" + name.replace("_", "-")
        return f"{option} {value}" if value else option

    def after_interrupt(self, held: bool) -> str:
        """Return one sentence on how to go on after Ctrl-C: a command has no plan to begin with."""
        return "To search on, run the command again, and let it run for longer: it begins anew."

    def of_conflict(self) -> str:
        """Return a full stop: the command itself says below what names the rows."""
        return "."
