"""The tuning set: models on which the parameters of the method are chosen, and no figure is reported.

Small and medium models of every builder. Their seeds begin at 900, so that none of them is in a set whose
figures stand in the docs. `docs/tune.py` runs them. No tests in here.
"""

from functools import partial

import exact_models

from pyomo_j3o import library

FIRST_SEED = 900

#: New ones come last: the seed is counted from the first one.
_BUILDERS = {
    # Of the library.
    "inference, 5/1, drop": lambda seed: library.taskonomy(5, 1, seed, droppable=True),
    "inference, 10/2, drop": lambda seed: library.taskonomy(10, 2, seed, droppable=True),
    "inference, 12/2, serve": lambda seed: library.taskonomy(12, 2, seed),
    "inference, 20/2, serve": lambda seed: library.taskonomy(20, 2, seed),
    "inference, windows, 8/2": lambda seed: library.taskonomy(8, 2, seed, window=0.5),
    "inference, DomainNet, 10/2, drop": lambda seed: library.domainnet(10, 2, seed, droppable=True),
    "several edges, 10/3": lambda seed: library.multi_edge(10, 3, seed, reach=2),
    "facility location, 16x50": lambda seed: library.facility_location(16, 50, seed),
    "facility location, equal, 25x50": lambda seed: library.facility_location(25, 50, seed, style="equal"),
    "facility location, tight, 25x100": lambda seed: library.facility_location(25, 100, seed, tightness=0.5),
    "p-median, 50x100, p=8": lambda seed: library.p_median(50, 100, 8, seed),
    "two-stage, 8/16/40": lambda seed: library.two_stage(8, 16, 40, seed),
    "maximal covering, 250x1500": lambda seed: library.maximal_covering(250, 1500, seed=seed, radius=0.15),
    "content, 12/8/60": lambda seed: library.content_placement(12, 8, 60, seed, reach=4),
    "services, 10/20/80": lambda seed: library.service_placement(10, 20, 80, seed),
    "network functions, 8/4/10": lambda seed: library.virtual_functions(8, 4, 10, seed),
    "fixed charge network, 30": lambda seed: library.fixed_charge_network(30, seed),
    # Of textbooks.
    "lot sizes, 5x12": lambda seed: exact_models.lot_sizing(5, 12, seed),
    "unit commitment, 10x24": lambda seed: exact_models.unit_commitment(10, 24, seed),
    "multicommodity, 12/12": lambda seed: exact_models.multicommodity(12, 12, seed),
    "single source, 12x30": lambda seed: exact_models.single_source(12, 30, seed),
    "assignment, 6x40": lambda seed: exact_models.assignment_with_overflow(6, 40, seed),
    "portfolio, 40/60": lambda seed: exact_models.portfolio(40, 60, 8, seed),
    "blend, 18x8": lambda seed: exact_models.semi_continuous_blend(18, 8, seed),
    # Of the library again.
    "inference, PASCAL-Context, 8/2, drop": lambda seed: library.dense_prediction(
        "pascal_context", 8, 2, seed, droppable=True
    ),
}

MODELS = {
    f"{name}, s{seed}": partial(build, seed)
    for seed, (name, build) in enumerate(_BUILDERS.items(), start=FIRST_SEED)
}
