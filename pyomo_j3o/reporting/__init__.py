"""What the plan of any annotated model does: tables, text, HTML, CSV and JSON.

From top to bottom: `building` makes the report of a model. `held_plan` reads the rows of the model and the
values of its variables, and `proof` what results say of them. `fullness` finds what each row uses of its
limit, `demands` what each variable serves. `addresses` names components and indices. `plan_report` is the
report itself, `layout` prints it, and `files` writes it.
"""

from pyomo_j3o.reporting.building import report
from pyomo_j3o.reporting.files import json_schema
from pyomo_j3o.reporting.plan_report import PlanReport, Summary

__all__ = ["PlanReport", "Summary", "json_schema", "report"]
