"""Simulated error rates of ``python -m mnist_zoo.versus``: ``python -m results.versus_rates`` writes the CSV file.

Each repetition simulates the networks of up to 40 seeds of two sides on the same images, and stops as the command does.
A network is correct on an image with a probability that depends on the side, the image and the seed.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy import special

from mnist_zoo.command import Parser, one_line_errors
from mnist_zoo.errors import InputError
from mnist_zoo.files import write_atomically
from mnist_zoo.report.difference import ALPHA, Noise, differences, scores
from mnist_zoo.versus.estimates import Estimate
from mnist_zoo.versus.sequence import Sequence, looks

FILE = Path(__file__).with_suffix(".csv")


@dataclass(frozen=True)
class World:
    """What is simulated.

    Attributes:
        images: number of validation images.
        difference: true difference in accuracy, a fraction.
        by_seed: standard deviation of the log-odds over seeds: what a seed does to all images alike.
        by_image: standard deviation of what a side does to single images, in log-odds.
        paired: whether the seeds of both sides share a part of their effect.
        margin: a fraction.
        most: seeds of each side.
    """

    images: int
    difference: float = 0.0
    by_seed: float = 0.05
    by_image: float = 0.5
    paired: bool = True
    margin: float = 0.002
    most: int = 40


WORLDS = {
    "no difference, 333 images": World(333),
    "no difference, 1,000 images": World(1000),
    "no difference, 5,000 images": World(5000),
    "no difference, 5,000 images, large seed noise": World(5000, by_seed=0.3),
    "no difference, 1,000 images, no image noise": World(1000, by_image=0.0, by_seed=0.3),
    "no difference, 1,000 images, other seeds": World(1000, paired=False, by_seed=0.2),
    "no difference, 5,000 images, margin 0.5": World(5000, margin=0.005),
    "0.2 points (the margin), 5,000 images": World(5000, 0.002),
    "0.5 points, 5,000 images": World(5000, 0.005),
    "1 point, 5,000 images": World(5000, 0.01),
}


def simulate(world: World, generator: np.random.Generator) -> tuple[str, int, bool]:
    """Return the answer, the seeds that it took, and whether all intervals up to there hold the true difference."""
    common = generator.normal(4.0, 1.5, world.images)
    sides = [common + generator.normal(0, world.by_image, world.images) for _ in range(2)]
    level = generator.normal(0, 1, (2, world.most)) * world.by_seed
    if world.paired:
        level[1] = 0.6 * level[0] + 0.8 * level[1]
    correct = []
    for side in range(2):
        chance = special.expit(sides[side] + level[side][:, None])
        correct.append(generator.random(chance.shape) < chance)
    if world.difference:  # wrong answers of the second side become right
        wrong = ~correct[1]
        share = world.difference / max(1e-9, float(wrong.mean()))
        correct[1] |= wrong & (generator.random(wrong.shape) < share)
    sequence, seeds, covered = Sequence(world.margin, ALPHA), 0, True
    offset = 0 if world.paired else 1000
    for seeds in looks(world.most):
        known = [scores(correct[side][:seeds], range(side * offset, side * offset + seeds)) for side in range(2)]
        found = differences(known, np.array([1]), np.array([0]))
        parts = (float(found.mean[0]), float(found.error[0]), float(found.freedom[0]))
        answer = sequence.add(Estimate(*parts, 0, 0, Noise(0, 0, 0), (0, 0), np.zeros(0)), seeds)
        covered &= sequence.looks[-1].low <= world.difference <= sequence.looks[-1].high
        if answer != "undecided":
            return answer, seeds, covered
    return "undecided", seeds, covered


def rates(world: World, repetitions: int, seed: int = 0) -> dict[str, float]:
    """Return the shares of the answers, of wrong answers, and the average number of seeds.

    Wrong is ``better`` or ``worse`` without a difference, ``worse`` with one, and ``equivalent`` if the difference is
    the margin or more.
    """
    results = [simulate(world, np.random.default_rng([seed, number])) for number in range(repetitions)]
    answers = [answer for answer, _, _ in results]
    share = {kind: answers.count(kind) / repetitions for kind in ("better", "worse", "equivalent", "undecided")}
    wrong = share["worse"] + (share["better"] if not world.difference else 0.0)
    if world.difference >= world.margin:
        wrong += share["equivalent"]
    missed = 1 - fmean(covered for _, _, covered in results)
    return {**share, "wrong": wrong, "intervals that miss": missed, "seeds": fmean(seeds for _, seeds, _ in results)}


def main(arguments: list[str] | None = None) -> None:
    """Simulate every world, 1,000 times or as often as the argument says, and write the table."""
    parser = Parser(prog="python -m results.versus_rates", description="Simulate the error rates of versus.")
    parser.add_argument("repetitions", nargs="?", type=int, default=1000, help="of each world (default: 1000)")
    repetitions = parser.parse_args(arguments).repetitions
    with one_line_errors():
        if repetitions < 1:
            raise InputError(f"{repetitions} repetitions: there must be at least one")
        rows = []
        for name, world in WORLDS.items():
            found = rates(world, repetitions)
            rows.append(
                {"world": name, "repetitions": repetitions} | {key: round(value, 4) for key, value in found.items()}
            )
            print(rows[-1], flush=True)
        table = io.StringIO()
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(FILE, table.getvalue())


if __name__ == "__main__":
    main()
