"""mnist_zoo.versus: the confidence sequence, the metrics, the question, and the loop of training and looking."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from synthetic_runs import _write_run

import mnist_zoo.versus.__main__ as door
from mnist_zoo import create_model
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.names import job_name
from mnist_zoo.hydra_app.overrides import grid, parse
from mnist_zoo.hydra_app.quiet_sweep import JobsFailed, quiet_sweep
from mnist_zoo.report.difference import Noise, seeds_needed
from mnist_zoo.runs import read_curves, read_evaluation, read_metrics
from mnist_zoo.training.run import run
from mnist_zoo.versus.attacked import ATTACKS, Attacks
from mnist_zoo.versus.comparing import RECORD, compare
from mnist_zoo.versus.estimates import METRICS, Estimate, estimate
from mnist_zoo.versus.page import write_page
from mnist_zoo.versus.question import Question, check_question, unreachable
from mnist_zoo.versus.sequence import Sequence, looks, spent
from mnist_zoo.versus.words import answer_lines
from results.versus_questions import QUESTIONS, chosen
from results.versus_rates import FILE, WORLDS, rates
from results.versus_rates import main as simulate_all

LABELS = np.arange(1000) % 10
SMALL = ("data=custom", "data.name=stripes", "model=mlp", "trainer=cpu", "logger=none")


# -- the confidence sequence ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "expected"),
    [(2, [2]), (4, [4]), (5, [4, 5]), (20, [4, 6, 8, 12, 16, 20]), (40, [4, 6, 8, 12, 16, 24, 32, 40])],
)
def test_the_looks_grow_and_end_with_the_last_seed(most, expected):
    assert list(looks(most)) == expected


@pytest.mark.parametrize(
    ("most", "earlier", "expected"),
    [
        (8, [4, 5], [4, 5, 6, 8]),
        (7, [4, 5, 6], [4, 5, 6, 7]),
        (12, [4, 5, 6, 7], [4, 5, 6, 7, 8, 12]),
        (6, [4, 6, 8], [4, 6]),
        (7, [4, 6, 8], [4, 6]),
        (2, [4, 6], [2]),
        (20, [4, 6, 8, 12, 16, 20], [4, 6, 8, 12, 16, 20]),
    ],
)
def test_a_comparison_that_continues_repeats_its_looks(most, earlier, expected):
    assert list(looks(most, earlier)) == expected


def test_the_errors_of_all_looks_add_up_to_alpha():
    assert sum(spent(look, 0.05) for look in range(1, 5000)) == pytest.approx(0.05, rel=1e-3)
    assert sum(spent(look, 0.05) for look in range(1, 5000)) < 0.05


def at(mean: float, error: float, freedom: float = 1e6) -> Estimate:
    return Estimate(mean, error, freedom, error, math.nan, Noise(0.0, 0.0, 0.0), (0.0, mean), np.zeros(3))


@pytest.mark.parametrize(
    ("estimates", "answer"),
    [
        ([at(0.0, 1.0)], "undecided"),
        ([at(1.0, 0.2)], "better"),
        ([at(-1.0, 0.2)], "worse"),
        ([at(0.0, 0.05)], "equivalent"),
        ([at(0.1, 0.02)], "better"),  # although by less than the margin
        ([at(0.0, 0.0)], "equivalent"),  # both sides are the same
        ([at(0.25, 0.0)], "better"),
        ([at(0.4, 0.2), at(0.4, 0.2)], "undecided"),
        ([at(0.4, 0.2), at(0.4, 0.13)], "better"),
        ([at(1.0, 0.1), at(-1.0, 0.1)], "undecided"),  # the intervals contradict each other
    ],
)
def test_the_answer_follows_from_the_interval(estimates, answer):
    sequence = Sequence(margin=0.2, alpha=0.05)
    assert [sequence.add(each, 4) for each in estimates][-1] == answer


def test_an_interval_is_students_at_the_level_of_its_look_and_only_shrinks():
    sequence = Sequence(margin=0.2, alpha=0.05)
    for number, (mean, error) in enumerate([(0.3, 0.4), (0.1, 0.5), (0.2, 0.1)], start=1):
        sequence.add(at(mean, error, freedom=5.0), 4 * number)
        half = stats.t.ppf(1 - 0.05 / (number * (number + 1)) / 2, 5.0) * error
        assert sequence.looks[-1].high <= mean + half + 1e-12 and sequence.looks[-1].low >= mean - half - 1e-12
    assert [look.low for look in sequence.looks] == sorted(look.low for look in sequence.looks)
    assert sequence.looks[0].high == pytest.approx(0.3 + stats.t.ppf(1 - 0.025 / 2, 5.0) * 0.4)


def most_errors(repetitions: int) -> float:
    """Return the share of errors that a rate of 5 % exceeds in one of a thousand tests only."""
    return float(stats.binom.ppf(0.999, repetitions, 0.05)) / repetitions


def test_without_a_difference_few_answers_are_wrong_over_all_stopping_times():
    found = rates(WORLDS["no difference, 1,000 images"], 200)
    assert found["wrong"] <= most_errors(200) and found["intervals that miss"] <= most_errors(200)
    large = rates(WORLDS["1 point, 5,000 images"], 40)
    assert large["better"] > 0.9 and large["seeds"] < 12, "a large difference is found with few seeds"


@pytest.mark.parametrize(("count", "message"), [("many", "invalid int value: 'many'"), ("0", "must be at least one")])
def test_a_count_that_is_none_is_one_line(capsys, count, message):
    with pytest.raises(SystemExit):
        simulate_all([count])
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_in_no_world_are_more_than_5_percent_wrong(world):
    found = rates(WORLDS[world], 1000, seed=1)
    assert found["wrong"] <= most_errors(1000) and found["intervals that miss"] <= most_errors(1000)


def test_the_committed_rates_are_of_the_worlds_of_today_and_at_most_5_percent():
    rows = list(csv.DictReader(FILE.read_text().splitlines()))
    assert [row["world"] for row in rows] == [*WORLDS]
    for row in rows:
        assert float(row["wrong"]) <= most_errors(int(row["repetitions"])), row["world"]


# -- the metrics ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sides(tmp_path_factory) -> list[dict[int, Path]]:
    """Two sides of six runs each; the second makes 2 points more errors."""
    place = tmp_path_factory.mktemp("sides")
    found: list[dict[int, Path]] = [{}, {}]
    for side in range(2):
        for seed in range(6):
            found[side][seed] = place / f"{side}-{seed}"
            _write_run(found[side][seed], 10 * side, seed, LABELS, 4)
    return found


def test_the_difference_in_accuracy_is_that_of_the_runs_in_points(sides):
    found = estimate("accuracy", *sides)
    means = [100 * np.mean([read_metrics(folder)["val_acc"] for folder in side.values()]) for side in sides]
    assert found.sides == pytest.approx(means) and found.mean == pytest.approx(means[1] - means[0])
    assert found.pairs.mean() == pytest.approx(found.mean)
    assert found.error**2 == pytest.approx(found.seed_error**2 + found.image_error**2)
    same = estimate("accuracy", sides[0], sides[0])
    assert (same.mean, same.error) == (0.0, 0.0)
    other = estimate("accuracy", sides[0], sides[1], "test")
    assert other.mean != found.mean


def test_the_difference_in_loss_is_that_of_the_runs(sides):
    found = estimate("loss", *sides)
    means = [np.mean([read_metrics(folder)["val_loss"] for folder in side.values()]) for side in sides]
    assert found.sides == pytest.approx(means, rel=1e-5) and found.mean == pytest.approx(means[1] - means[0], rel=1e-4)
    assert found.image_error >= 0


def test_metrics_of_single_seeds_are_paired_from_five_seeds_on(sides):
    found = estimate("brier", *sides)
    assert found.error == pytest.approx(found.pairs.std(ddof=1) / math.sqrt(6)) and found.freedom == 5
    few = [{seed: side[seed] for seed in range(3)} for side in sides]
    assert estimate("brier", *few).freedom == 4
    shifted = {seed + 1000: folder for seed, folder in sides[1].items()}
    assert estimate("brier", sides[0], shifted).freedom == 10, "other seeds are not paired"
    assert math.isnan(found.image_error)


def test_a_t_test_of_fixed_size_is_planned_from_the_differences_of_paired_seeds(sides):
    found = estimate("brier", *sides)
    spread = found.pairs.std(ddof=1)
    planned = seeds_needed(spread, found.noise, 500)  # a difference of one standard deviation
    textbook = (stats.t.isf(0.025, planned - 1) + stats.t.ppf(0.8, planned - 1)) ** 2
    assert planned - 1 < textbook <= planned == 10
    assert seeds_needed(spread / 2, found.noise, 500) == 34


def write_curves(folder: Path, accuracies: list[float], seconds: float) -> Path:
    folder.mkdir(parents=True)
    rows = [f"{e},0.1,1,0.5,1,{acc},{seconds},100" for e, acc in enumerate(accuracies, start=1)]
    header = "epoch,lr,train_loss,train_acc,val_loss,val_acc,seconds,images_per_second"
    (folder / "curves.csv").write_text("\n".join([header, *rows]) + "\n")
    assert len(read_curves(folder)) == len(accuracies)
    return folder


def test_metrics_of_the_curves(tmp_path):
    slow = {seed: write_curves(tmp_path / f"a{seed}", [0.5, 0.7, 0.9, 0.99], 10.0) for seed in range(2)}
    fast = {seed: write_curves(tmp_path / f"b{seed}", [0.6, 0.8, 0.95], 5.0) for seed in range(2)}
    assert estimate("accuracy_at_equal_time", slow, fast).sides == (50.0, 95.0), "within 15 s, one epoch of the slow"
    assert estimate("seconds_to", slow, fast, target=0.9).sides == (30.0, 15.0)
    assert estimate("epochs_to", slow, fast, target=0.7).sides == (2.0, 2.0)
    late = {seed: write_curves(tmp_path / f"c{seed}", [0.9, 0.99], 20.0) for seed in range(2)}
    with pytest.raises(
        InputError, match=r"c0: its first epoch took 20 s, and the whole training of the other side 15 s"
    ):
        estimate("accuracy_at_equal_time", fast, late)
    with pytest.raises(InputError, match=r"never reached --target 0.99 \(its best: 0.9500\): lower it"):
        estimate("epochs_to", slow, fast, target=0.99)


def test_every_metric_is_measured(sides):
    for name in METRICS:
        attacks = (lambda folder: (np.arange(1000) % 7 > int(folder.name[0]), "images")) if name in ATTACKS else None
        found = estimate(name, *sides, target=0.85 if name.endswith("_to") else None, attacks=attacks)
        assert len(found.pairs) == 6 and math.isfinite(found.mean)


@pytest.mark.slow
def test_robustness_is_the_accuracy_under_attack_on_validation_images(stripes_config, tmp_path):
    sides = [{seed: tmp_path / f"{name}-{seed}" for seed in range(2)} for name in "ab"]
    for side, lr in zip(sides, (0.001, 0.01), strict=True):
        for seed, folder in side.items():
            run(stripes_config("epochs=2", f"lr={lr}", f"seed={seed}"), folder)
    attacks = Attacks("pgd", 0.05, tmp_path)
    found = estimate("pgd", *sides, attacks=attacks)
    shares = []
    for side in sides:
        measured = [next(iter(read_evaluation(folder).values())) for folder in side.values()]
        assert all(each["settings"]["split"] == "val" and each["settings"]["epsilons"] == [0.05] for each in measured)
        shares.append(100 * np.mean([each["values"]["accuracy"][0] for each in measured]))
    assert found.sides == pytest.approx(shares) and found.noise is not None and found.error > 0
    before = [(folder / "evaluation.json").stat().st_mtime_ns for folder in sides[0].values()]
    assert estimate("pgd", *sides, attacks=Attacks("pgd", 0.05, tmp_path)).mean == found.mean
    assert before == [(folder / "evaluation.json").stat().st_mtime_ns for folder in sides[0].values()]


# -- the question -----------------------------------------------------------------------------------------------------

TWO = (("lr=0.1",), ("lr=0.2",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "acuracy"}, "unknown metric 'acuracy'; did you mean accuracy"),
        ({"margin": 0.0}, "--margin 0.0: it must be above 0"),
        ({"margin": math.nan}, "--margin nan: it must be above 0"),
        ({"metric": "loss"}, "--metric loss needs --margin"),
        ({"max_seeds": 1}, "--max-seeds 1: it must be from 2 to 10,000"),
        ({"b_seed_offset": -1}, "--b-seed-offset -1: it must be from 0"),
        ({"target": 0.9}, "--target is the accuracy of --metric seconds_to and epochs_to"),
        ({"metric": "epochs_to", "margin": 1.0}, "--target is the accuracy of"),
        ({"metric": "epochs_to", "margin": 1.0, "target": 98.0}, "--target 98.0: it must be a fraction"),
        ({"epsilon": 0.1}, "--epsilon is the largest change of a pixel for --metric fgsm and pgd"),
        ({"metric": "pgd", "margin": 1.0}, "--epsilon is the largest change"),
        ({"metric": "pgd", "margin": 1.0, "epsilon": 1.5}, "--epsilon 1.5: it must be above 0 and at most 1"),
        ({"metric": "pgd", "epsilon": 0.1}, "--metric pgd needs --margin"),
        ({"name": "../x"}, "--name ../x: it must be the name of a folder"),
        ({"sides": (("lr=0.1",), ("lr=x",))}, "lr=x: it must be a number"),
        ({"sides": (("lr=0.1",), ("seed=3",))}, "seed=3: not in a comparison: it trains seeds 0, 1, 2"),
        ({"sides": (("lr=[",), ("lr=1",))}, r"'lr=\[' is not an override: write key=value"),
        ({"sides": (("lr=0.1",), ("lr=0.1,0.2",))}, "side B has several values for a setting"),
        ({"sides": (("output_dir=x",), ("lr=1",))}, "output_dir=x: not in a comparison: give it before --a"),
        ({"sides": (("data.val_size=9",), ("lr=1",))}, "the sides differ in data"),
        ({"sides": (("optimizer=adm",), ("lr=1",))}, "unknown optimizer 'adm'; did you mean adam"),
    ],
)
def test_a_wrong_question_is_answered_before_training(changes, message):
    with pytest.raises(InputError, match=message):
        check_question(Question(**({"common": SMALL, "sides": TWO} | changes)))


def test_a_margin_that_the_images_make_unreachable_is_said_before_training():
    question = Question(SMALL, TWO)
    said = unreachable(question, 333)
    assert said is not None and "hardly reachable with 333 validation images" in said
    needed = int(said.rpartition("data.val_size=")[2])
    assert unreachable(question, needed) is None and unreachable(question, needed - 1) is not None
    assert unreachable(Question(SMALL, TWO, margin=2.0), 333) is None
    assert unreachable(Question(SMALL, TWO, metric="loss", margin=0.1), 333) is None


def test_equal_seeds_start_with_equal_weights_up_to_the_first_layer_that_differs():
    def weights(name, **options):
        torch.manual_seed(3)
        return list(create_model(name, **options).parameters())

    plain, dropped, wider = weights("cnn"), weights("cnn_dropout"), weights("cnn", dense=96)
    assert all(torch.equal(*pair) for pair in zip(plain, dropped, strict=True))
    assert all(torch.equal(*pair) for pair in zip(plain[:4], wider[:4], strict=True))
    assert plain[4].shape != wider[4].shape


# -- the loop ---------------------------------------------------------------------------------------------------------


class FakeSweep:
    """Writes finished runs instead of training; the errors of a side follow from its learning rate."""

    def __init__(self):
        self.calls: list[list[str]] = []
        self.trained: list[str] = []

    def __call__(self, words):
        self.calls.append(list(words))
        place = Path(next(word for word in words if word.startswith("hydra.sweep.dir")).partition("=")[2].strip("'"))
        for job in grid(parse([word for word in words if not word.startswith(("hydra", "sweep="))])):
            folder = place / job_name(job)
            if not folder.exists():
                settings = dict(word.split("=", 1) for word in job)
                _write_run(folder, round(float(settings["lr"])), int(settings["seed"]), LABELS, 2)
                self.trained.append(folder.name)


def asked(tmp_path, *rates, **options):
    common = (*SMALL, f"output_dir={tmp_path}")
    return Question(common, tuple((f"lr={rate}",) for rate in rates), **{"name": "mine"} | options)


def test_it_trains_until_the_answer_is_known_and_continues_without_training_again(tmp_path, capsys):
    sweep, question = FakeSweep(), asked(tmp_path, 1, 20, margin=1.0)  # 3.8 points more errors
    with pytest.warns(UserWarning, match="hardly reachable with 16 validation images"):
        found = compare(question, sweep, test=True)
    (side,) = found.candidates
    assert side.answer == "worse" and len(sweep.trained) == 8 and len(side.sequence.looks) == 1
    lines = answer_lines(found)
    assert lines[0].startswith("B (lr=20) is worse than A (lr=1): accuracy of the chosen epoch on the validation")
    assert lines[1].startswith("B - A is -") and "whenever one stops" in lines[1]
    assert lines[2].startswith("4 seeds each, 16 validation images; standard error from seeds ")
    assert lines[3].startswith("test images: B - A is -") and len(lines) == 4
    record = json.loads((tmp_path / "versus/mine" / RECORD).read_text())
    assert record["candidates"][0]["answer"] == "worse" and record["candidates"][0]["test"]["mean"] < 0
    page = write_page(found).with_name("report.md").read_text()
    assert "is worse than" in page and "interval-B" in page
    with pytest.warns(UserWarning, match="hardly reachable"):
        again = compare(question, FakeSweep(), test=True)
    assert again.candidates[0].sequence.looks == side.sequence.looks
    assert "look 1, 4 seeds: B - A = -" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:a margin of")
def test_it_stops_undecided_and_goes_on_if_more_seeds_are_allowed(tmp_path):
    few, more = FakeSweep(), FakeSweep()
    found = compare(asked(tmp_path, 1, 1, margin=0.01, max_seeds=6, b_seed_offset=1000), few)
    assert found.candidates[0].answer == "undecided" and len(few.trained) == 12
    assert "lr=1,model=mlp,seed=1005,trainer=cpu" in "".join(few.trained)
    found = compare(asked(tmp_path, 1, 1, margin=0.01, max_seeds=8, b_seed_offset=1000), more)
    assert len(more.trained) == 4 and len(found.candidates[0].sequence.looks) == 3
    assert answer_lines(found)[0].startswith("undecided after 8 seeds: B (lr=1) and A (lr=1) may differ by 0.01 points")


@pytest.mark.filterwarnings("ignore:a margin of")
def test_a_look_keeps_its_level_however_often_more_seeds_are_allowed(tmp_path):
    def interrupted(words):
        raise KeyboardInterrupt

    def asked_for(seeds):
        return asked(tmp_path, 1, 1, margin=0.01, max_seeds=seeds, b_seed_offset=1000)

    for most in (5, 7):
        first = compare(asked_for(most), FakeSweep())
    with pytest.raises(KeyboardInterrupt):
        compare(asked_for(8), interrupted)
    record = json.loads((tmp_path / "versus/mine" / RECORD).read_text())
    assert record["looked"] == [4, 5, 6, 7], "an interruption forgets no look"
    again = compare(asked_for(8), FakeSweep()).candidates[0].sequence.looks
    assert [look.seeds for look in again] == [4, 5, 6, 7, 8] and again[:4] == first.candidates[0].sequence.looks


@pytest.mark.filterwarnings("ignore:a margin of")
def test_equal_seeds_of_equal_sides_are_equal_to_the_last_bit(tmp_path):
    found = compare(asked(tmp_path, 1, 1), FakeSweep())
    assert found.candidates[0].answer == "equivalent" and found.candidates[0].sequence.looks[-1].high == 0
    assert "all predictions of both sides are the same" in answer_lines(found)[2]


@pytest.mark.filterwarnings("ignore:a margin of")
def test_candidates_are_compared_with_the_first_at_a_corrected_level_and_clear_losers_are_dropped(tmp_path):
    sweep = FakeSweep()
    question = asked(tmp_path, 5, 39, 5, margin=0.01, max_seeds=6, b_seed_offset=1000)
    found = compare(question, sweep)
    assert question.alpha == pytest.approx(0.025)
    loser, other = found.candidates
    assert (loser.answer, len(loser.sequence.looks)) == ("worse", 1) and len(other.sequence.looks) == 2
    assert sorted(found.runs[1]) == [0, 1, 2, 3] and sorted(found.runs[0]) == sorted(found.runs[2]) == [*range(6)]
    assert len(answer_lines(found)) == 6


@pytest.mark.filterwarnings("ignore:a margin of")
def test_a_lower_loss_is_better(tmp_path):
    found = compare(asked(tmp_path, 39, 1, metric="loss", margin=0.01), FakeSweep())
    assert found.candidates[0].answer == "better" and found.candidates[0].sequence.looks[-1].mean < 0


@pytest.mark.filterwarnings("ignore:a margin of")
def test_another_question_in_the_same_folder_and_a_damaged_record_are_named(tmp_path):
    compare(asked(tmp_path, 1, 20), FakeSweep())
    with pytest.raises(InputError, match=r"holds another comparison \(sides differ\): choose another --name"):
        compare(asked(tmp_path, 1, 2), FakeSweep())
    (tmp_path / "versus/mine" / RECORD).write_text("{")
    with pytest.raises(InputError, match="is damaged: delete it; the same command writes it again"):
        compare(asked(tmp_path, 1, 20), FakeSweep())
    with pytest.raises(InputError, match="--test: epochs_to is a metric of training and validation only"):
        compare(asked(tmp_path, 1, 2, metric="epochs_to", margin=1.0, target=0.5, name="t"), FakeSweep(), test=True)


@pytest.mark.filterwarnings("ignore:a margin of")
@pytest.mark.parametrize("word", ["lr", "lr=1", "lr=2:1", "lr=a:b", "=1:2"])
def test_a_wrong_range_to_tune_is_named(tmp_path, word):
    with pytest.raises(InputError, match=f"--tune {word}: write key=low:high"):
        compare(asked(tmp_path, 1, 2, tune=(word,)), FakeSweep())


def test_a_sweep_within_shows_the_lines_of_jobs_and_its_failure_stops_the_comparison(capsys):
    def command(words):
        print("sweep x: 2 to run\n[1/2] seed=0: validation 0.9\nbest by validation")
        sys.exit({"fail": 1, "stop": 130}.get(words[1], 0))

    with pytest.raises(JobsFailed, match="the same command continues"):
        quiet_sweep(command)(["fail"])
    with pytest.raises(KeyboardInterrupt, match="the same command continues"):
        quiet_sweep(command)(["stop"])
    quiet_sweep(lambda words: print("[1/1] fine"))(["x"])
    assert capsys.readouterr().out == "  [1/2] seed=0: validation 0.9\n" * 2 + "  [1/1] fine\n"


def test_the_command_reads_its_words(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["versus", "model=mlp", "--a", "lr=1", "--b", "lr=x", "model.dropout=0.1"])
    with pytest.raises(SystemExit) as end:
        door.main()
    assert end.value.code == 1 and capsys.readouterr().err == "error: lr=x: it must be a number\n"


def test_the_committed_questions_are_valid():
    for name, words in QUESTIONS.items():
        assert "--a " in words and "--b " in words, name


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib_cores"])
def test_the_command_trains_answers_and_continues(tmp_path, launcher):
    line = [
        sys.executable,
        "-m",
        "mnist_zoo.versus",
        "data=mnist5k",
        "data.train_fraction=0.1",
        "model=mlp",
        "epochs=1",
    ]
    line += [
        "trainer=cpu",
        "logger=none",
        f"hydra/launcher={launcher}",
        "--a",
        "lr=1e-3",
        "--b",
        "lr=1e-5",
        "--margin",
        "5",
        "--name",
        "mine",
    ]
    said = []
    for _ in range(2):
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=600, env=os.environ)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "B (lr=1e-5) is worse than A (lr=1e-3)" in said[0]
    assert said[0].splitlines()[-4:-1] == said[1].splitlines()[-4:-1], "nothing is trained again"
    assert "[1/4]" in said[0] and "[1/4]" not in said[1]
    assert (tmp_path / "outputs/versus/mine/report/report.html").is_file()


@pytest.mark.slow
def test_both_sides_are_tuned_before_they_are_compared(tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    common = ("data=mnist5k", "data.train_fraction=0.1", "model=mlp", "epochs=1", "trainer=cpu", "logger=none")
    words = [*common, "--a", "optimizer=adam", "--b", "optimizer=sgd", "--tune", "lr=1e-4:1e-1", "--trials", "2"]
    monkeypatch.setattr(sys, "argv", ["versus", *words, "--max-seeds", "2", "--margin", "5", "--name", "mine"])
    door.main()
    record = json.loads((tmp_path / "outputs/versus/mine/versus.json").read_text())
    assert [len(words) for words in record["tuned"]] == [1, 1]
    assert all(1e-4 <= float(words[0].removeprefix("lr=")) <= 1e-1 for words in record["tuned"])
    for side in "AB":
        assert len(list((tmp_path / f"outputs/versus/mine/tune/searches/{side}/trials").iterdir())) == 2


def test_words_choose_questions_once_and_an_unknown_one_is_named():
    assert chosen(["dropout", "self", "self_03"]) == ["dropout", *(f"self_{number:02d}" for number in range(20))]
    with pytest.raises(InputError, match="unknown question 'droput'; did you mean dropout"):
        chosen(["adamw", "droput"])
