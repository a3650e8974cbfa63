"""Classical models: each registered one is fitted, recorded, swept and reported as a network is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_zoo import create_model, register_model
from mnist_zoo.__main__ import main
from mnist_zoo.classical import create_estimator, list_estimators, load_estimator, saving, scores
from mnist_zoo.classical import run as classical
from mnist_zoo.data import load_data
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.running import load_run
from mnist_zoo.models import registry
from mnist_zoo.names import CLASSICAL, ON_PIXELS
from mnist_zoo.report import write_report
from mnist_zoo.report.card import write_card
from mnist_zoo.report.comparison import comparison
from mnist_zoo.report.frames import load_runs
from mnist_zoo.report.reading import read_runs
from mnist_zoo.runs import RunFolder, read_metrics, read_predictions, read_status
from mnist_zoo.runs.status import run_status
from mnist_zoo.settings import check
from mnist_zoo.settings.classical import WITHOUT
from mnist_zoo.training.run import run as train
from mnist_zoo.versus import estimates

# What makes each model small; all are fitted to 176 images of the stripes.
SMALL = {
    "gradient_boosting": ["model.max_iter=3"],
    "random_forest": ["model.n_estimators=10"],
    "cnn_svm": ["model.network=mlp", "epochs=1", "trainer=cpu", "logger=none"],
}
STRIPES = ("data=custom", "data.name=stripes", "progress=none")


@pytest.fixture
def stripes_of(config):
    """Return ``stripes_of("knn", ...)``: the config of a classical model on the stripes."""
    return lambda name, *more: config(*STRIPES, f"model={name}", *SMALL.get(name, []), *more)


@pytest.mark.parametrize("name", list_estimators())
def test_every_model_writes_the_run_folder_of_a_network(stripes_of, tmp_path, name):
    cfg = stripes_of(name, "seed=3")
    accuracy = load_run(cfg)(cfg, tmp_path)
    metrics, arrays = read_metrics(tmp_path), read_predictions(tmp_path)
    data = load_data(cfg)
    assert metrics["val_acc"] == accuracy and (metrics["model"], metrics["seed"]) == (name, 3)
    assert metrics["data_fingerprint"] == data.fingerprint and metrics["test_evaluations"] == 1
    assert (metrics["n_train"], metrics["n_val"], metrics["n_test"]) == (176, 16, 40)
    assert metrics["test_acc"] > 0.5, "ten classes in noise that all of them can separate"
    assert metrics["fitted_bytes"] > 500 and metrics["fit_seconds"] >= 0
    assert arrays["logits"].shape == (40, 10) and np.array_equal(arrays["labels"], data.labels("test"))
    assert np.mean(arrays["logits"].argmax(1) == arrays["labels"]) == metrics["test_acc"]
    assert run_status(tmp_path).state == "finished"

    table = read_runs([tmp_path]).table  # which checks that metrics and predictions agree
    assert table["label"].tolist() == [name] and len(table) == 1, "a network inside the folder is no run of its own"
    absent = {"lr", "epochs", "epochs_run", "num_params", "flops", "optimizer", "augment"} & metrics.keys()
    files = {path.name for path in tmp_path.iterdir()}
    if name in ON_PIXELS:
        assert not absent and not files & {"checkpoints", "curves.csv", "network"}
    else:
        network = read_metrics(tmp_path / "network")
        assert metrics["epochs_run"] == 1 and network["model"] == "mlp" and metrics["config"] == network["config"]


@pytest.mark.parametrize("name", list_estimators())
def test_the_saved_estimator_predicts_what_was_recorded(stripes_of, tmp_path, name):
    pytest.importorskip("skops")
    cfg = stripes_of(name)
    load_run(cfg)(cfg, tmp_path, brief=True)
    if name == "cnn_svm":
        assert load_estimator(tmp_path).n_features_in_ == 84, "the features of the MLP"
        return
    data = load_data(cfg)
    pixels = np.concatenate([images.flatten(1).numpy() for images, _ in data.eval_dataloader("test")])
    assert pixels.dtype == np.float32 and pixels.shape == (40, 784)
    assert abs(load_data(cfg).images("train").float().mean() / 255 - data.mean) < 1e-6
    recorded = read_predictions(tmp_path)["logits"].argmax(1)
    assert np.array_equal(load_estimator(tmp_path).predict(pixels), recorded)


def test_only_the_training_split_is_fitted(stripes_of, tmp_path, monkeypatch):
    seen = []

    class Estimator:
        classes_ = np.arange(10)

        def fit(self, images, labels):
            seen.append((images.shape, labels.tolist()))

        def predict_proba(self, images):
            seen.append(images.shape)
            return np.full((len(images), 10), 0.1)

    monkeypatch.setattr(classical, "create_estimator", lambda *_, **__: Estimator())
    monkeypatch.setattr(classical, "save_estimator", lambda *_: True)
    monkeypatch.setattr(classical, "fitted_bytes", lambda _: 1)
    cfg = stripes_of("knn")
    classical.run(cfg, tmp_path)
    assert seen == [
        ((176, 784), load_data(cfg).labels("train").tolist()),
        *[(count, 784) for count in (176, 16, 40)],
    ]
    assert read_metrics(tmp_path)["test_loss"] == pytest.approx(np.log(10))


REFUSED = [
    ("lr=0.1", "lr=0.1: knn is fitted once, on the CPU, without epochs and gradients: leave lr out"),
    ("epochs=10", "epochs=10: knn is fitted once"),
    ("batch_size=64", "batch_size=64: knn"),
    ("monitor=val_acc", "monitor=val_acc: knn"),
    ("ema=0.9", "ema=0.9: knn"),
    ("pretrained=mnist", "pretrained=mnist: knn"),
    ("data.epoch_images=100", "data.epoch_images=100: knn"),
    ("callbacks=[]", "callbacks: knn"),
    ("optimizer=sgd", "optimizer=sgd: knn"),
    ("optimizer.weight_decay=1", "optimizer.weight_decay: a classical model is fitted once"),
    ("early_stop.patience=2", "early_stop.patience: a classical model is fitted once"),
    ("scheduler=cosine", "scheduler=cosine: knn"),
    ("augment=affine", "augment: knn"),
    ("adversary=fgsm", "adversary=fgsm: knn"),
    ("trainer=cuda", "trainer: knn"),
    ("speed=none", "speed: knn"),
    ("logger=tensorboard", "logger=tensorboard: knn"),
    ("experiment=keras_cnn", "batch_size=32: knn"),
    ("model.n_neighbors=0", "model.n_neighbors=0: it must be 1 or more"),
    ("+model.k=3", "unknown option of classical model 'knn' 'k'"),
    ("+model.init=he", "unknown option of classical model 'knn' 'init'"),
    ("model.weights=far", "model.weights=far: it must be one of uniform, distance"),
    ("model=cnn_svm model.network=knn", "model.network=knn: it must be a network, not a classical model"),
]


@pytest.mark.parametrize(("override", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_makes_no_sense_is_refused_in_one_line(override, message):
    with pytest.raises(InputError) as error:
        check(compose_config(["model=knn", *override.split()]))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_every_setting_of_networks_alone_is_covered_by_the_table():
    """A new top-level setting belongs to networks, to all models, or to both kinds of table."""
    cfg = compose_config(["model=knn"])
    left = {key for key in compose_config([]) if cfg.get(key) is None}
    assert left - {"sweep", "resume"} == set(WITHOUT)
    assert {override.partition("=")[0].partition(".")[0] for override, _ in REFUSED} >= set(WITHOUT) - {
        *("label_smoothing", "grad_clip", "loss"),  # as the others of their kind
    }
    check(compose_config(["model=knn", "logger=none", "data.normalize=false"]))


def test_a_sweep_may_mix_them_and_its_end_has_no_epochs_for_them(tmp_path, monkeypatch, capsys):
    words = ["-m", "data=mnist5k", "data.train_fraction=0.05", "model=knn,naive_bayes", "sweep=s"]
    monkeypatch.setattr(sys, "argv", ["mnist_zoo", *words, f"output_dir={tmp_path}"])
    main()
    out = capsys.readouterr().out
    assert "2 to run" in out and "-  " in out and "best by validation: model=knn" in out
    main()
    assert "2 finished" in capsys.readouterr().out, "the same command runs nothing again"
    job = next((tmp_path / "sweeps/s").glob("*knn*"))
    assert {path.name for path in job.iterdir()} >= {".hydra", "job.json", "metrics.json", "predictions.npz"}

    monkeypatch.setattr(sys, "argv", ["mnist_zoo", *words[:-1], "sweep=t", "lr=0.1", f"output_dir={tmp_path}"])
    with pytest.raises(SystemExit):
        main()
    assert "error: lr=0.1: knn is fitted once" in capsys.readouterr().err
    assert not (tmp_path / "sweeps/t").exists(), "nothing was done before"


def test_a_finished_run_is_left_as_it_is_and_an_interrupted_one_is_fitted_again(stripes_of, tmp_path, monkeypatch):
    cfg = stripes_of("naive_bayes")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(classical, "split_logits", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        classical.run(cfg, tmp_path)
    status = read_status(tmp_path)
    assert status["state"] == "interrupted" and run_status(tmp_path).detail == "testing naive_bayes"
    with pytest.raises(InputError, match=r"already holds a run: continue it with resume="):
        classical.run(cfg, tmp_path)
    first = classical.run(cfg, tmp_path, resume=True)
    content = (tmp_path / "metrics.json").read_bytes()
    assert classical.run(cfg, tmp_path, resume=True) == first
    assert (tmp_path / "metrics.json").read_bytes() == content
    with RunFolder(tmp_path) as folder:
        folder.clear()
    assert not (tmp_path / "estimator.skops").exists() and not (tmp_path / "metrics.json").exists()


def test_the_network_of_an_svm_is_not_trained_again(stripes_of, tmp_path, monkeypatch):
    cfg = stripes_of("cnn_svm")
    with monkeypatch.context() as patched, pytest.raises(InputError, match=r"cnn_svm cannot be fitted .*: no"):
        patched.setattr(classical, "split_logits", lambda *_: (_ for _ in ()).throw(ValueError("no\nmore")))
        classical.run(cfg, tmp_path)
    weights = (tmp_path / "network/checkpoints/best.ckpt").stat().st_mtime_ns
    classical.run(cfg, tmp_path, resume=True)
    assert (tmp_path / "network/checkpoints/best.ckpt").stat().st_mtime_ns == weights
    with pytest.raises(InputError, match="its network is not trained further"):
        classical.run(cfg | {"epochs": 2}, tmp_path, resume=True)
    with RunFolder(tmp_path) as folder:
        folder.clear()
    assert not (tmp_path / "network/metrics.json").exists(), "else it would count for other settings"


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("knn", "model.n_neighbors=500", "knn cannot be fitted to these images with these options: Expected n_neigh"),
        ("cnn_svm", "model.network=nosuch", "unknown model 'nosuch'"),
    ],
)
def test_options_that_do_not_fit_are_one_line(stripes_of, tmp_path, name, override, message):
    with pytest.raises(InputError) as error:
        classical.run(stripes_of(name, override), tmp_path)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
    assert read_status(tmp_path)["state"] == "failed"


def test_a_network_without_features_is_refused_before_it_is_trained(stripes_of, tmp_path, monkeypatch):
    monkeypatch.setattr("mnist_zoo.models.registry._BUILDERS", dict(registry._BUILDERS))

    @register_model("bare")
    def bare(num_classes: int = 10, in_chans: int = 1) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, num_classes))

    with pytest.raises(InputError, match=r"model.network=bare: this network has no method features"):
        classical.run(stripes_of("cnn_svm", "model.network=bare"), tmp_path)
    assert not (tmp_path / "network").exists()


def test_the_share_of_the_pixels_is_a_share_also_if_it_is_written_as_an_integer():
    (found,) = {create_estimator("random_forest", max_features=share).max_features for share in (1, 1.0)}
    assert isinstance(found, float), "scikit-learn takes the integer 1 for one pixel"


def test_a_fit_that_has_not_converged_says_so_and_is_recorded(stripes_of, tmp_path):
    with pytest.warns(UserWarning, match="ended before it converged: a larger model.max_iter"):
        classical.run(stripes_of("logistic", "model.max_iter=1"), tmp_path)
    assert read_metrics(tmp_path)["converged"] is False


class TestScores:
    SPLITS = {split: np.zeros((2, 1), np.float32) for split in ("train", "val", "test")}

    def test_probabilities_become_their_logarithms_and_none_is_zero(self):
        class Certain:
            classes_ = np.array([0, 2])

            def predict_proba(self, images):
                return np.array([[1.0, 0.0], [0.25, 0.75]])

        logits, temperature = scores.split_logits(Certain(), self.SPLITS, np.array([0, 2]), 3)
        least = np.log(scores.LEAST)
        expected = [[0, least, least], [np.log(0.25), least, np.log(0.75)]]
        assert temperature is None and np.allclose(logits["test"], expected)

    def test_scores_are_divided_by_the_temperature_of_the_validation_images(self):
        class Machine:
            classes_ = np.array([0, 1])

            def decision_function(self, images):
                return np.array([-3.0, 3.0])

        logits, temperature = scores.split_logits(Machine(), self.SPLITS, np.array([0, 0]), 2)
        assert temperature == pytest.approx(20, rel=1e-3), "half of them are wrong: the scores say nothing"
        assert np.allclose(logits["test"], np.array([[3, -3], [-3, 3]]) / temperature)


def test_the_size_counts_every_byte_of_the_arrays():
    few, many = (
        create_estimator("knn").fit(np.zeros((count, 50), np.float32), np.arange(count) % 2) for count in (10, 110)
    )
    assert saving.fitted_bytes(many) - saving.fitted_bytes(few) == pytest.approx(100 * (50 * 4 + 8), rel=0.05)


def test_a_file_of_other_types_is_not_loaded(tmp_path):
    skops = pytest.importorskip("skops.io")
    with pytest.raises(InputError, match="there is no file"):
        load_estimator(tmp_path)
    skops.dump(Path("a"), tmp_path / "estimator.skops")
    with pytest.raises(InputError, match="holds types that are not of our estimators"):
        load_estimator(tmp_path)
    (tmp_path / "estimator.skops").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match="is damaged"):
        load_estimator(tmp_path)


def test_without_skops_the_run_says_that_nothing_is_saved(stripes_of, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    classical.run(stripes_of("naive_bayes"), tmp_path)
    assert "note: the fitted model is not saved: pip install" in capsys.readouterr().err
    assert not (tmp_path / "estimator.skops").exists() and read_metrics(tmp_path)["test_acc"] > 0.5
    with pytest.raises(InputError, match="is read with skops: pip install"):
        load_estimator(tmp_path)


@pytest.mark.slow
def test_a_report_has_no_empty_columns_and_no_curves_without_epochs(stripes_of, stripes_config, tmp_path):
    for name in ("knn", "naive_bayes"):
        classical.run(stripes_of(name), tmp_path / name, brief=True)
    tables = [block.content for block in comparison(read_runs([tmp_path]).table, []).blocks if block.kind == "table"]
    assert not {"lr", "parameters", "MFLOP", "epochs", "to 98 %", "images/s"} & {column for t in tables for column in t}

    train(stripes_config("epochs=2"), tmp_path / "mlp", brief=True)
    text = (write_report([tmp_path]).parent / "report.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| knn |"))
    assert row.split(" | ")[1:7] == ["-", "one seed", "-", "0.55", "-", "-"]
    assert "## Curves" in text and "with learning rate" not in text and "| nan" not in text
    runs = load_runs(tmp_path).set_index("model")
    assert runs.loc["knn", ["lr", "loss", "augment", "epochs_run"]].isna().all() and runs.loc["mlp", "lr"] == 1e-3
    with pytest.raises(InputError, match="a model card describes a network"):
        write_card(tmp_path / "knn")


def test_metrics_of_neither_kind_are_damaged(stripes_of, tmp_path):
    classical.run(stripes_of("naive_bayes"), tmp_path, brief=True)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    del metrics["fitted_bytes"]
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(InputError, match="it lacks num_params, flops"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("name", CLASSICAL)
def test_the_registry_of_networks_says_where_they_are(name):
    with pytest.raises(
        InputError, match=rf"^'{name}' is a classical model, not a network: .*create_estimator\('{name}'\)"
    ):
        create_model(name)
    with pytest.raises(InputError, match="already registered"):
        register_model(name)(lambda: None)


def test_a_comparison_by_epochs_refuses_a_model_without_epochs(stripes_of, tmp_path):
    for seed in (0, 1):
        classical.run(stripes_of("naive_bayes", f"seed={seed}"), tmp_path / str(seed), brief=True)
    runs = {seed: tmp_path / str(seed) for seed in (0, 1)}
    for metric in ("accuracy_at_equal_time", "epochs_to"):
        with pytest.raises(InputError, match="has no epochs: choose another --metric"):
            estimates.estimate(metric, runs, runs, "val", 0.5)
