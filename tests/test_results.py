"""The maintainers' tools: run folders become CSV rows, CSV rows become tables, runs become shipped weights."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_report import write_run

from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.overrides import grid, parse
from mnist_zoo.inference.rejection import find_threshold
from mnist_zoo.weights import read_weights
from results import ship as shipping
from results import tables
from results.__main__ import main
from results.collect import collect, read_results
from results.experiments import PAPERS, cause_of
from results.render import BEGIN, END, render, replace_block
from results.rows import command as command_of
from results.rows import names, settings_of
from results.ship import command, ship, write_thresholds

ROOT = Path(__file__).parents[1]
RUN = Path(__file__).parent / "fixtures" / "0.1.0" / "run"  # made by version 0.1.0


def sweep(folder: Path, wrong: int = 4, **settings) -> Path:
    """Write three seeds of a row of the lr_sweep paper, of which seed 0 errs on `wrong` of 200 images."""
    for seed in (0, 1, 2):
        write_run(
            folder / f"{wrong}-{seed}",
            seed=seed,
            wrong=range(wrong + seed),
            experiment="lr_sweep",
            overrides=["model=mlp", "lr=0.01", "data.root=/somewhere"],
            lr=0.01,
            **settings,
        )
    return folder


OF_NETWORKS = ("num_params", "flops", "lr", "batch_size", "epochs", "epochs_run", "train_images_per_second")


class TestCollect:
    def test_a_new_row_replaces_that_of_the_same_configuration_and_seed(self, tmp_path):
        results = tmp_path / "results"
        assert collect([sweep(tmp_path / "first")], results) == {results / "lr_sweep.csv": 3}
        collect([sweep(tmp_path / "second", wrong=8)], results)
        rows = pd.read_csv(results / "lr_sweep.csv")
        assert rows["seed"].tolist() == [0, 1, 2]
        assert rows["test_acc"].tolist() == pytest.approx([0.96, 0.955, 0.95])
        assert {"model", "data", "lr", "seed", "device", "torch", "epochs_run"} <= set(rows.columns)
        assert "/somewhere" not in (results / "lr_sweep.csv").read_text(), "no paths of a machine"
        collect([sweep(tmp_path / "third", batch_size=32)], results)
        assert len(pd.read_csv(results / "lr_sweep.csv")) == 6, "another configuration"

    def test_metrics_of_predictions_are_kept_without_the_run_folder(self, tmp_path):
        write_run(
            tmp_path / "run", wrong=[7, 17], experiment="keras_cnn", model="cnn", model_options={"channels": [32, 64]}
        )
        collect([tmp_path / "run"], tmp_path)
        table = read_results(tmp_path, "keras_cnn")
        assert table is not None and table["recall_digit_7"].tolist() == pytest.approx([0.9])
        page, _ = render(tmp_path)
        reason = "not comparable: one seed, and no comparable configuration with several"
        assert f"| cnn | recall digit 7 | 93 % | 90.00 | one seed | {reason} |" in page  # two of 20 sevens

    def test_a_run_of_no_experiment_goes_to_the_zoo(self, tmp_path):
        write_run(tmp_path / "run", wrong=[7, 17])
        assert collect([tmp_path / "run"], tmp_path) == {tmp_path / "zoo.csv": 1}
        page, block = render(tmp_path)
        assert "## The zoo with the library's defaults" in page and "| 99.00 |" in page
        assert "|" not in block, "the README has no table"
        assert re.search(r"Of \d+ comparisons with a published test accuracy 0 were run", block)

    def test_rows_of_networks_do_not_depend_on_classical_models_beside_them(self, tmp_path):
        runs = [sweep(tmp_path / "networks")]
        collect(runs, tmp_path / "alone")
        runs.append(write_run(tmp_path / "knn", experiment="classical", model="knn", fitted_bytes=9))
        file = runs[-1] / "metrics.json"
        kept = {key: value for key, value in json.loads(file.read_text()).items() if key not in OF_NETWORKS}
        file.write_text(json.dumps(kept))
        collect(runs, tmp_path / "both")
        alone, both = (tmp_path / folder / "lr_sweep.csv" for folder in ("alone", "both"))
        assert both.read_text() == alone.read_text()
        assert (tmp_path / "both/classical.csv").exists()

    def test_a_run_of_an_unknown_experiment_is_refused(self, tmp_path):
        write_run(tmp_path / "run", experiment="my_own")
        with pytest.raises(InputError, match="none of these runs is of a known experiment: architectures"):
            collect([tmp_path / "run"], tmp_path)


def commands_of_the_page() -> list[tuple[str, ...]]:
    """Return the first job of each command on the results page."""
    commands = re.findall(r"`python -m mnist_zoo -m ([^`]*)`", (ROOT / "results/README.md").read_text())
    return sorted({tuple(grid(parse(shlex.split(line)))[0]) for line in commands})


class TestRender:
    def test_the_tables_say_what_was_run_and_what_was_not(self, tmp_path):
        collect([sweep(tmp_path / "sweep")], tmp_path)
        page, block = render(tmp_path)
        assert re.search(r"Of \d+ comparisons with a published test accuracy 1 were run: 1 agree with", block)
        assert "| Handwritten Digit Recognition using ResNet-18 (2022) | 15 | 1 | 1 | 0 | 0 | 0 |" in page
        assert "| mlp lr=0.01 | test accuracy | 97.1 % | 97.50 [93.57, 99.17] | 3 | agrees |" in page
        command = "`python -m mnist_zoo -m experiment=lr_sweep model=resnet18 lr=0.01 seed=0,1,2`"
        hours = "to be run, about 1.5 h on one core"
        assert (
            f"| resnet18 lr=0.01 | test accuracy | 99.2 % | - | - | not run | {hours} | Table 3 | {command} |" in page
        )
        for paper in PAPERS:
            assert f"## {paper.title}" in page
            for experiment in paper.parts:
                assert f": `experiment={experiment}`" in page
        assert "Not run yet: `python -m mnist_zoo -m experiment=architectures seed=0,1,2`" in page
        assert "Test accuracies compared: 1 of 15. Agree: mlp lr=0.01 (97.1 %)." in page

    def test_every_published_number_has_a_row(self, tmp_path):
        page, _ = render(tmp_path)
        with (ROOT / "mnist_zoo/report/published.csv").open() as file:
            published = list(csv.DictReader(file))
        rows = [line for line in page.splitlines() if re.search(r" \| [\d.]+ (%|nats|s|epochs|images) \| ", line)]
        assert len(rows) == len(published) and page.count("no experiment yet") == 0

    def test_every_difference_has_a_reason(self):
        lines = (ROOT / "results/README.md").read_text().splitlines()
        rows = [line.split(" | ") for line in lines if line.count(" | ") == 8]
        outside = [row for row in rows if row[5].startswith(("ours is", "outside"))]
        assert outside, "without any difference this test would check nothing"
        for row in outside:
            assert row[6].strip() not in ("", "not known"), f"results/experiments.py has no cause: {row[:6]}"

    @pytest.mark.parametrize(
        ("row", "known"),
        [
            (("lr_sweep", "mlp lr=0.01", "test_acc"), True),
            (("lr_sweep", "resnet18 lr=0.01", "val_acc"), True),
            (("lr_sweep", "resnet18 lr=0.01", "test_acc"), False),
            (("dropout", "mlp", "test_acc"), False),
        ],
    )
    def test_a_cause_belongs_to_an_experiment_a_model_and_perhaps_a_metric(self, row, known):
        assert (cause_of(*row) is not None) is known

    def test_names_and_commands_can_be_read(self):
        table = pd.DataFrame(
            [
                ("a", "mnist", ["model=mlp", "lr=0.02", "trainer=cpu"]),
                ("b", "mnist", ["data.normalize=true", "model=mlp", "lr=0.02"]),
                ("c", "fashion_mnist", ["data=fashion_mnist", "trainer.precision=bf16-mixed", "model=two_conv"]),
                ("d", "mnist", ["model=cnn", "trainer.precision=bf16-mixed"]),
                ("e", "mnist", ["model=cnn", "model.channels=[64,64]"]),
                ("f", "mnist", ["model=cnn"]),
                ("a long label", "mnist", []),
            ],
            columns=["label", "data", "overrides"],
        )
        assert names(table) == {
            "a": "mlp lr=0.02",
            "b": "mlp data.normalize=true lr=0.02",
            "c": "two_conv",
            "d": "cnn trainer.precision=bf16-mixed",
            "e": "cnn channels=[64,64]",
            "f": "cnn",
            "a long label": "a long label",
        }
        words = settings_of(["lr=0.1", "trainer=cpu", "data=fashion_mnist", "model=cnn", "model.channels=[64,64]"])
        line = (
            "python -m mnist_zoo -m experiment=x model=cnn data=fashion_mnist lr=0.1 'model.channels=[64,64]' seed=0,2"
        )
        assert command_of("x", words, (0, 2)) == line

    def test_a_committee_decides_by_majority_and_ties_go_to_the_smallest_class(self, monkeypatch):
        predicted = np.array([[0, 1, 2, 1], [0, 1, 0, 2], [1, 1, 1, 2]], np.uint8)
        stored = (pd.DataFrame(index=range(3)), predicted, np.array([0, 1, 2, 1], np.uint8))
        monkeypatch.setattr(tables, "with_predictions", lambda *_: stored)
        (sentence,) = tables.majority_sentence(pd.DataFrame(), ROOT / "results", "committee")
        assert sentence.startswith("The majority of these 3 networks: 50.00 % [15.00, 85.00]")
        assert sentence.endswith("a single one, on average: 58.33 %.")

    def test_a_command_of_each_experiment_composes(self):
        of_experiment = {job[0].partition("model=")[0]: job for job in commands_of_the_page()}
        assert len(of_experiment) > 10
        for job in of_experiment.values():
            assert compose_config(job)["seed"] >= 0

    @pytest.mark.slow
    def test_every_command_of_the_page_composes(self):
        jobs = commands_of_the_page()
        assert len(jobs) > 60
        for job in jobs:
            assert compose_config(job)["seed"] >= 0

    def test_only_the_text_between_the_markers_is_replaced(self):
        assert replace_block(f"a\n{BEGIN}\nold\n{END}\nz\n", "new\n") == f"a\n{BEGIN}\nnew\n{END}\nz\n"

    @pytest.mark.parametrize("text", ["none", f"{END}\n{BEGIN}\n", f"{BEGIN}\n"])
    def test_a_readme_without_markers_is_refused(self, text):
        with pytest.raises(InputError, match="has no lines"):
            replace_block(text, "new\n")

    def test_the_repositorys_tables_are_those_of_its_csv_files(self):
        page, block = render(ROOT / "results")
        cure = "run python -m results render"
        assert (ROOT / "results" / "README.md").read_text() == page, cure
        readme = (ROOT / "README.md").read_text()
        assert replace_block(readme, block) == readme, cure


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """Return a folder with the weights and the card of a run that 0.1.0 made."""
    folder = tmp_path_factory.mktemp("shipped")
    main(["ship", str(RUN), "--to", str(folder)])
    return folder


class TestShip:
    def test_the_card_describes_the_file_and_the_run(self, shipped):
        metrics = json.loads((RUN / "metrics.json").read_text())
        content = (shipped / "mlp-mnist5k.safetensors").read_bytes()
        card = json.loads((shipped / "mlp-mnist5k.json").read_text())
        assert (card["sha256"], card["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
        assert {key: card[key] for key in ("model", "num_params", "seed", "n_val", "n_test", "data_fingerprint")} == {
            "model": "mlp",
            "num_params": 3190,
            "seed": 0,
            "n_val": 333,
            "n_test": 1000,
            "data_fingerprint": metrics["data_fingerprint"],
        }
        assert card["test_acc_float32"] == pytest.approx(metrics["test_acc"]), "as the run measured it"
        assert card["val_acc"] >= metrics["val_acc"] - 1e-6 or card["dtype"] == "float32"
        assert card["not_a_digit_below"] == pytest.approx(find_threshold(read_weights(RUN)), abs=2e-3)

    def test_the_weights_are_half_precision_and_describe_their_data(self, shipped):
        weights = read_weights(shipped / "mlp-mnist5k.safetensors")
        assert {tensor.dtype for tensor in weights.state.values()} == {torch.float16}
        assert (weights.description.model["hidden"], weights.description.data) == ([4], "mnist5k")

    def test_the_command_repeats_the_run_without_paths_of_the_machine(self):
        expected = "data.train_fraction=0.05 data=mnist5k epochs=2 model.hidden=[4] model=mlp trainer=cpu"
        assert command(RUN) == f"python -m mnist_zoo {expected}"

    def test_a_run_of_other_images_is_refused(self, tmp_path):
        other = tmp_path / "run"
        shutil.copytree(RUN, other)
        metrics = json.loads((other / "metrics.json").read_text())
        (other / "metrics.json").write_text(json.dumps(metrics | {"data_fingerprint": "0" * 16}))
        with pytest.raises(InputError, match="was trained on other images than the mnist5k in data"):
            ship(other, "data", tmp_path)

    def test_a_variant_is_part_of_the_name(self, tmp_path):
        assert ship(RUN, "data", tmp_path, "robust")["file"] == "mlp-mnist5k-robust.safetensors"

    def test_thresholds_are_measured_again_on_the_same_images_only(self, shipped):
        with pytest.raises(InputError, match=r"mlp-mnist5k\.safetensors was trained on other images than the mnist5k"):
            write_thresholds("data", shipped)  # the run was trained with data.train_fraction=0.05

    def test_a_file_that_is_too_large_is_not_shipped(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shipping, "LARGEST", 1_000)
        with pytest.raises(InputError, match=r"mlp-mnist5k.safetensors would have [\d,]+ bytes; 1,000 is the most"):
            ship(RUN, "data", tmp_path)
        assert not list(tmp_path.iterdir())


class TestCommand:
    def test_collect_and_render_write_their_files(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        Path("README.md").write_text(f"# Zoo\n{BEGIN}\n{END}\n")
        sweep(Path("outputs"))
        main(["collect", "outputs"])
        main(["render"])
        page, block = render("results")
        assert Path("results/README.md").read_text() == page
        assert block in Path("README.md").read_text()
        assert "results/lr_sweep.csv: 3 rows" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["ship", "nowhere"], "nowhere is not a finished run folder (it has no metrics.json)"),
            (["collect", "nowhere"], "nowhere"),
            (["render"], "there is no file README.md: name the README with --readme FILE"),
        ],
    )
    def test_known_errors_are_one_line(self, tmp_path, monkeypatch, capsys, arguments, message):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as end:
            main(arguments)
        said = capsys.readouterr().err
        assert end.value.code == 1 and said.startswith("error: ") and message in said and said.count("\n") == 1
        assert not list(tmp_path.iterdir()), "nothing is written"

    def test_help_does_not_import_torch_or_pandas(self):
        code = "import sys, results.__main__; sys.exit(bool({'torch', 'pandas'} & sys.modules.keys()))"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
