"""Genetic search: children cross the settings of two good parents, mutate some, and inherit the weights of a parent.

Source: genetic training as Meena et al. 2024 are cited for it: offspring inherit what their parents learned, to shorten
training. Population, selection and mutation are not stated where it is cited; those here are the usual simple ones.

This module imports Optuna. `mnist_zoo.hydra_app.optuna_search` imports it when a search runs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

POPULATION = 8  # trials of a generation; those of the first are drawn at random
PARENTS = 4  # best finished trials of all earlier generations, from which two are drawn for each child
MUTATION = 0.3  # probability with which a setting of a child changes
STEP = 0.15  # standard deviation of a mutation, as a share of the range (of its logarithm for log: true)


class GeneticSampler(optuna.samplers.BaseSampler):
    """Suggests the settings of children. Trials of earlier generations are compared by their value (validation).

    Args:
        seed: with the number of a trial it fixes its random choices. They also depend on the trials before it.
    """

    def __init__(self, seed: int):
        self._seed = seed
        self._parents: dict[int, Sequence[FrozenTrial]] = {}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return no space: each setting is suggested on its own."""
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, Any]) -> dict:
        """Return no settings: each is suggested on its own."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a setting: one of a parent's, possibly mutated; in the first generation a random one."""
        draw = random.Random(f"{self._seed} {trial.number} {param_name}")
        parents = self.parents(study, trial.number)
        if not parents:
            return _anything(param_distribution, draw)
        value = draw.choice(parents).params[param_name]
        return mutated(value, param_distribution, draw) if draw.random() < MUTATION else value

    def parents(self, study: optuna.Study, number: int) -> Sequence[FrozenTrial]:
        """Return the two parents of a trial, the better one first; none in the first generation.

        There are none, too, if fewer than two trials of earlier generations are finished.
        """
        if number not in self._parents:
            first = number // POPULATION * POPULATION  # number of the generation's first trial
            known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            earlier = [trial for trial in known if trial.number < first]
            best = sorted(earlier, key=lambda trial: (-(trial.value or 0.0), trial.number))[:PARENTS]
            chosen = random.Random(f"{self._seed} {number}").sample(best, 2) if len(best) > 1 else []
            self._parents[number] = sorted(chosen, key=best.index)
        return self._parents[number]


def mutated(value: Any, distribution: BaseDistribution, draw: random.Random) -> Any:
    """Return another value near `value`: a normal step within a range, or another one of the choices."""
    if isinstance(distribution, CategoricalDistribution):
        others = [choice for choice in distribution.choices if choice != value]
        return draw.choice(others) if others else value
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high, log = float(distribution.low), float(distribution.high), distribution.log
    place, start, end = (math.log(x) if log else float(x) for x in (value, low, high))
    place = min(max(place + draw.gauss(0, STEP * (end - start)), start), end)
    return _rounded(math.exp(place) if log else place, distribution)


def _anything(distribution: BaseDistribution, draw: random.Random) -> Any:
    """Return a value of a distribution at random, uniform in the logarithm for log: true."""
    if isinstance(distribution, CategoricalDistribution):
        return draw.choice(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high = (math.log(x) if distribution.log else float(x) for x in (distribution.low, distribution.high))
    place = draw.uniform(low, high)
    return _rounded(math.exp(place) if distribution.log else place, distribution)


def _rounded(value: float, distribution: FloatDistribution | IntDistribution) -> float | int:
    """Return the value of a distribution that is nearest to a number."""
    if distribution.step is not None:
        value = distribution.low + round((value - distribution.low) / distribution.step) * distribution.step
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def inherited_weights(trial: optuna.Trial, trials: Path) -> list[str]:
    """Return the override with which a child starts from the weights of a parent; empty if it starts anew.

    The parents, and the one whose weights are used, are recorded in the trial.

    Args:
        trial: of any search; only those of a genetic one inherit.
        trials: folder of the run folders of all trials.
    """
    sampler = trial.study.sampler
    if not isinstance(sampler, GeneticSampler):
        return []
    parents = sampler.parents(trial.study, trial.number)
    giver = weights_from(parents, trial.params)
    trial.set_user_attr("parents", [parent.number for parent in parents])
    trial.set_user_attr("weights_from", None if giver is None else giver.number)
    return [] if giver is None else [f"pretrained={trials / str(giver.number)}"]


def weights_from(parents: Sequence[FrozenTrial], params: Mapping[str, Any]) -> FrozenTrial | None:
    """Return the parent whose weights fit a child: the better one with the same settings of the network, or None."""
    for parent in parents:
        if all(parent.params[key] == value for key, value in params.items() if key.partition(".")[0] == "model"):
            return parent
    return None
