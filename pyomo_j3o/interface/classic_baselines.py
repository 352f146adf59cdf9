"""Baselines behind Pyomo's classic interface."""

from __future__ import annotations

from pyomo_j3o.interface.baselines import AllCloud, AllEdge, AllLocal, Apart, MostAccurateFirst, Random
from pyomo_j3o.interface.classic import LegacyJ3O
from pyomo_j3o.interface.solver import J3O


class LegacyAllLocal(LegacyJ3O, AllLocal):
    """`AllLocal` behind Pyomo's classic interface."""

    CONFIG = AllLocal.CONFIG
    name = AllLocal.name


class LegacyAllEdge(LegacyJ3O, AllEdge):
    """`AllEdge` behind Pyomo's classic interface."""

    CONFIG = AllEdge.CONFIG
    name = AllEdge.name


class LegacyAllCloud(LegacyJ3O, AllCloud):
    """`AllCloud` behind Pyomo's classic interface."""

    CONFIG = AllCloud.CONFIG
    name = AllCloud.name


class LegacyMostAccurateFirst(LegacyJ3O, MostAccurateFirst):
    """`MostAccurateFirst` behind Pyomo's classic interface."""

    CONFIG = MostAccurateFirst.CONFIG
    name = MostAccurateFirst.name


class LegacyRandom(LegacyJ3O, Random):
    """`Random` behind Pyomo's classic interface."""

    CONFIG = Random.CONFIG
    name = Random.name


class LegacyApart(LegacyJ3O, Apart):
    """`Apart` behind Pyomo's classic interface."""

    CONFIG = Apart.CONFIG
    name = Apart.name


#: The class of each baseline behind the classic interface.
CLASSIC: dict[type[J3O], type[LegacyJ3O]] = {
    AllLocal: LegacyAllLocal,
    AllEdge: LegacyAllEdge,
    AllCloud: LegacyAllCloud,
    MostAccurateFirst: LegacyMostAccurateFirst,
    Random: LegacyRandom,
    Apart: LegacyApart,
}
