"""The learning-rate range test."""

import sys

import numpy as np
import pytest
import torch

from mnist_zoo.errors import DivergedError, InputError
from mnist_zoo.hydra_app.range_test import UNUSED, range_test
from mnist_zoo.lr_find import main
from mnist_zoo.training.lr_range import LearningRates, find_lr

SMALL = ("data=custom", "data.name=stripes", "model=mlp", "trainer=cpu", "batch_size=16", "optimizer=sgd")


def test_the_learning_rate_grows_by_a_factor_and_the_loss_falls_and_diverges(config):
    found = find_lr(config(*SMALL), low=1e-4, high=1e4, steps=60)
    factors = found.rates[1:] / found.rates[:-1]
    assert factors == pytest.approx(np.full(len(factors), 10 ** (8 / 59)))
    assert len(found.rates) < 60, "it ends when the loss diverges"
    assert found.smoothed.min() < 0.8 * found.smoothed[0]
    assert 1e-3 < found.suggestion <= found.rates[found.lowest]
    assert found.smoothed[-1] > 3 * found.smoothed.min() >= found.smoothed[-2]
    again = find_lr(config(*SMALL), low=1e-4, high=1e4, steps=60)
    assert np.array_equal(found.losses, again.losses)
    other = find_lr(config(*SMALL, "seed=1"), low=1e-4, high=1e4, steps=60)
    assert found.losses[0] != other.losses[0]


def test_the_losses_are_those_of_training_with_these_learning_rates(config):
    """With a learning rate that hardly grows, the first losses are those of a plain loop."""
    from mnist_zoo import LitClassifier, MNISTDataModule

    found = find_lr(config(*SMALL), low=0.05, high=0.05 * (1 + 1e-9), steps=20)
    torch.manual_seed(0)
    data, model = MNISTDataModule("stripes", batch_size=16), LitClassifier("mlp", lr=0.05, optimizer="sgd")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    losses = []
    for images, labels in data.train_dataloader():
        loss, _ = model.compute_loss(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert found.losses[: len(losses)] == pytest.approx(losses, rel=1e-4)


def test_the_network_is_trained_against_the_adversary(config):
    plain, attacked = (
        find_lr(config(*SMALL, *more), low=1e-4, high=1e-2, steps=20) for more in ((), ("adversary=fgsm",))
    )
    assert attacked.losses[0] > plain.losses[0]


def test_the_suggestion_is_the_steepest_point_before_the_lowest():
    rates = np.geomspace(1e-4, 1, 41)
    smoothed = 2 - 1.5 / (1 + np.exp(-4 * (np.log10(rates) + 2))) + np.where(rates > 0.1, rates * 5, 0)
    assert LearningRates(rates, smoothed, smoothed).suggestion == pytest.approx(1e-2, rel=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0}, "low=0 and high=1: both must be above 0, and high above low"),
        ({"low": 2}, "low=2 and high=1"),
        ({"high": float("nan")}, "high=nan"),
        ({"steps": 5}, "steps=5: it must be from 20 to 100,000"),
    ],
)
def test_invalid_bounds_are_named(config, arguments, message):
    with pytest.raises(InputError, match=message):
        find_lr(config(*SMALL), **arguments)


def test_a_loss_that_only_rises_is_an_error(config):
    with pytest.raises(DivergedError, match="the loss does not fall from low=100 on: choose a lower --low"):
        find_lr(config(*SMALL), low=100, high=1000, steps=20)


@pytest.mark.parametrize("key", UNUSED)
def test_settings_that_would_do_nothing_are_refused(key):
    with pytest.raises(InputError, match=f"a range test does not use {key}: "):
        range_test([f"{key}=1"], 1e-6, 1, 200)


def test_the_command_writes_plot_and_table_and_says_what_next(tmp_path, monkeypatch, capsys):
    words = ["lr_find", *SMALL, f"output_dir={tmp_path}", "--low", "1e-4", "--high", "10", "--steps", "60"]
    monkeypatch.setattr(sys, "argv", words)
    main()
    said = capsys.readouterr().out.splitlines()
    assert said[-4].startswith("the loss falls fastest at lr=")
    assert said[-1].startswith("next: python -m mnist_zoo data=custom") and " lr=" in said[-1]
    (folder,) = (tmp_path / "lr_find").iterdir()
    assert (folder / "lr_find.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "lr_find.csv").read_text().startswith("lr,loss,smoothed\n0.0001,")
    monkeypatch.setattr(sys, "argv", ["lr_find", "lr=0.1"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "error: lr=0.1: a range test does not use lr: the test finds it: --low and --high are its bounds\n"
    )
