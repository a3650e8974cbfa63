"""Training against attacks, and on masked images."""

from __future__ import annotations

import json

import pytest
import torch

from mnist_zoo import LitClassifier, MNISTDataModule, create_model, evaluate_model
from mnist_zoo.adversary import Adversary
from mnist_zoo.data.augment import Augment
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.report.reading import read_runs
from mnist_zoo.runs import read_metrics
from mnist_zoo.runs.identity import comparable, differences, identity
from mnist_zoo.settings import check
from mnist_zoo.training.recorder import Recorder
from mnist_zoo.training.run import run

FGSM = ("adversary=fgsm", "adversary.epsilon=0.1", "adversary.step_size=0.125")
PGD = ("adversary=pgd", "adversary.epsilon=0.1", "adversary.step_size=0.05", "adversary.steps=3")
STRONG = ("adversary=fgsm", "adversary.epsilon=0.2", "adversary.step_size=0.25")


@pytest.mark.parametrize("choice", [{"name": "fgsm"}, {"name": "pgd", "steps": 3}])
def test_attacked_images_are_images_within_epsilon_in_pixels(choice):
    """Whatever the network's input was scaled to."""
    network = create_model("mlp").train()
    pixels, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    adversary = Adversary.of({**choice, "epsilon": 0.2, "step_size": 0.25, "mean": 0.13, "std": 0.31})
    attacked = adversary.attack(network, (pixels - 0.13) / 0.31, labels) * 0.31 + 0.13
    assert 0.15 < (attacked - pixels).abs().max() <= 0.2 + 1e-6
    assert attacked.min() >= -1e-6 and attacked.max() <= 1 + 1e-6
    assert network.training and all(parameter.grad is None for parameter in network.parameters())
    loss = torch.nn.functional.cross_entropy
    before, after = (loss(network((each - 0.13) / 0.31), labels) for each in (pixels, attacked))
    assert after > before + 0.1


def test_more_steps_raise_the_loss_further():
    torch.manual_seed(0)
    network, images, labels = create_model("mlp"), torch.rand(32, 1, 28, 28), torch.arange(32) % 10
    losses = []
    for steps in (1, 10):
        torch.manual_seed(1)
        choice = {"name": "pgd", "epsilon": 0.1, "step_size": 0.02, "steps": steps}
        attacked = Adversary.of(choice).attack(network, images, labels)
        losses.append(torch.nn.functional.cross_entropy(network(attacked), labels).item())
    assert losses[1] > losses[0]


def test_the_attack_grows_over_the_warm_up(stripes_config, tmp_path):
    network, pixels, labels = create_model("mlp").train(), torch.full((8, 1, 28, 28), 0.5), torch.arange(8)
    adversary = Adversary.of({"name": "fgsm", "epsilon": 0.4, "step_size": 0.8, "warmup": 3})
    changes = [
        (adversary.attack(network, pixels, labels, epoch) - pixels).abs().max().item()
        for epoch in (0, 1, 2, 3, 4, None)
    ]
    assert changes == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4], abs=1e-6)
    run(stripes_config("epochs=3", "monitor=train_loss", "lr=0.1", *STRONG, "adversary.warmup=2"), tmp_path)
    assert read_metrics(tmp_path)["best_epoch"] == 3, "an epoch of the warm-up is never the best"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("cw", "unknown adversary 'cw'"),
        ({"name": "fgsm", "steps": 3}, "unknown option of adversary 'fgsm' 'steps'"),
        ({"name": "fgsm", "epsilon": 0}, "epsilon=0 must be above 0"),
        ({"name": "pgd", "epsilon": 1.5}, "epsilon=1.5"),
        ({"name": "pgd", "epsilon": "0.3"}, "adversary pgd: epsilon=0.3: it must be a number"),
        ({"name": "pgd", "steps": 2.5}, "adversary pgd: steps=2.5: it must be an integer"),
        ({"name": "pgd", "steps": 0}, "steps=0"),
        ({"name": "pgd", "step_size": 0}, "step_size=0"),
        ({"name": "pgd", "std": 0}, "adversary.std=0"),
        ({"name": "pgd", "warmup": -1}, "warmup=-1"),
    ],
)
def test_an_invalid_adversary_is_refused(choice, message):
    with pytest.raises(InputError, match=message):
        LitClassifier("mlp", adversary=choice)


@pytest.mark.parametrize(
    ("warmup", "message"), [("-1", "adversary.warmup=-1: it must be 0 or more"), ("2", "it must be below epochs=2")]
)
def test_a_warm_up_without_end_is_refused(warmup, message):
    with pytest.raises(InputError, match=message):
        check(compose_config(["epochs=2", *FGSM, f"adversary.warmup={warmup}"]))


def test_a_checkpoint_holds_the_adversary_as_plain_values(stripes_config, tmp_path):
    run(stripes_config("epochs=1", *PGD), tmp_path)
    again = LitClassifier.load_from_checkpoint(tmp_path / "checkpoints/best.ckpt")
    data = torch.load(tmp_path / "checkpoints/best.ckpt", weights_only=True)["MNISTDataModule"]
    assert again.hparams["adversary"] == {
        **{"name": "pgd", "epsilon": 0.1, "step_size": 0.05, "steps": 3, "warmup": 0},
        **{"mean": data["mean"], "std": data["std"]},
    }
    assert read_metrics(tmp_path)["config"]["adversary"]["name"] == "pgd"


@pytest.mark.parametrize(
    "settings",
    [(*FGSM, "model=cnn_dropout", "augment.mask=0.2"), (*PGD, "speed=none", "scheduler=onecycle", "ema=0.9")],
    ids=["fgsm", "pgd"],
)
def test_a_run_that_is_resumed_equals_one_that_ran_through(stripes_config, tmp_path, monkeypatch, settings, results):
    cfg = stripes_config(*settings)
    run(cfg, tmp_path / "whole")
    start = Recorder.on_train_epoch_start

    def power_cut(record, trainer, module):
        if trainer.current_epoch == 1:
            raise KeyError("power cut")
        start(record, trainer, module)

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Recorder, "on_train_epoch_start", power_cut)
        run(cfg, tmp_path / "cut")
    run(cfg | {"resume": str(tmp_path / "cut")}, tmp_path / "cut")
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_the_optimisations_train_against_the_attack_as_well(stripes_config, tmp_path, results):
    """Lists of batches and the patches of a convolution change results by rounding only, and are used."""
    settings = ("epochs=2", "model=cnn", "model.channels=[4,4]", "model.dense=[8]", *FGSM)
    run(stripes_config(*settings), tmp_path / "fast")
    run(stripes_config(*settings, "speed=none"), tmp_path / "plain")
    assert "several_steps" in read_metrics(tmp_path / "fast")["speed"]
    fast, plain = (results(tmp_path / name)["curves"] for name in ("fast", "plain"))
    for one, other in zip(fast, plain, strict=True):
        assert one == pytest.approx(other, abs=2e-2)
    run(stripes_config("epochs=2", *settings[1:4]), tmp_path / "clean")
    clean = results(tmp_path / "clean")["curves"]
    assert clean[-1]["train_loss"] < fast[-1]["train_loss"], "the loss in the curves is that of the attacked images"


def test_training_against_an_attack_makes_robust(stripes_config, tmp_path):
    accuracy = {}
    for name, settings in (("plain", ()), ("robust", STRONG)):
        run(stripes_config("epochs=15", "lr=0.003", *settings), tmp_path / name)
        model = LitClassifier.load_from_checkpoint(tmp_path / name / "checkpoints/best.ckpt")
        data = MNISTDataModule("stripes")
        values = evaluate_model(model, data, on=["pgd"], options={"pgd": {"epsilons": [0.17]}})["pgd"].values
        accuracy[name] = values["accuracy"][0]
        assert values["clean_accuracy"] > 0.9
    assert accuracy["robust"] > accuracy["plain"] + 0.3


def test_a_run_without_the_new_settings_keeps_its_identity(stripes_config):
    """Runs of earlier versions have neither `adversary` nor `augment.mask`; they are the same runs."""
    cfg = stripes_config()
    old = {key: value for key, value in cfg.items() if key != "adversary"}
    old["augment"] = {key: value for key, value in cfg["augment"].items() if key != "mask"}
    assert identity(cfg, "x") == identity(old, "x")
    assert differences(comparable(old), comparable(cfg)) == []
    for changed in (stripes_config(*FGSM), stripes_config("augment.mask=0.1")):
        assert identity(changed, "x") != identity(old, "x")
        assert differences(comparable(old), comparable(changed))


def test_configurations_are_told_apart_by_their_adversary(stripes_config, tmp_path):
    for name, settings in (("a", ()), ("b", FGSM), ("c", PGD), ("d", ("augment.mask=0.3",))):
        run(stripes_config("epochs=1", *settings), tmp_path / name, brief=True)
    labels = set(read_runs([tmp_path]).table["label"])
    assert labels == {"mlp augment=none", "mlp augment=none adversary=fgsm", "mlp augment=none adversary=pgd",
                      "mlp augment=mask=0.3"}  # fmt: skip
    assert "mask" not in json.loads((tmp_path / "a/metrics.json").read_text())["augment"]


# -- masking ---------------------------------------------------------------------------------------------------------


def test_a_mask_zeroes_a_random_share_and_nothing_else():
    images, augment = torch.rand(400, 1, 28, 28) + 0.5, Augment(mask=0.3)
    masked = augment(images, augment.draw(400, torch.Generator().manual_seed(0)))
    zeroed = masked == 0
    assert torch.equal(masked[~zeroed], images[~zeroed])
    shares = zeroed.double().flatten(1).mean(1)
    assert shares.mean() == pytest.approx(0.3, abs=0.003)
    assert shares.std() == pytest.approx((0.3 * 0.7 / 784) ** 0.5, rel=0.2), "each value for itself"
    assert zeroed.double().mean(0).std() == pytest.approx((0.3 * 0.7 / 400) ** 0.5, rel=0.2), "each image for itself"


def test_the_command_line_takes_both():
    cfg = compose_config(["adversary=pgd", "adversary.steps=5", "augment.mask=0.1"])
    assert cfg["adversary"]["steps"] == 5 and cfg["augment"]["mask"] == 0.1
