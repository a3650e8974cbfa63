"""LitClassifier with a plain Trainer and a plain DataLoader."""

import weakref

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader, TensorDataset

from mnist_zoo import LitClassifier
from mnist_zoo.classifier import LossAndAccuracy
from mnist_zoo.errors import InputError
from mnist_zoo.optim import OPTIMIZERS
from mnist_zoo.training.ema import EMA


def loader(count=64, size=16, **options):
    images = torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(images, torch.arange(count) % 10), batch_size=size, **options)


def trainer(tmp_path, *callbacks, **options):
    options = {"max_epochs": 2, "enable_checkpointing": False, "log_every_n_steps": 1} | options
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **options,
    )


def test_it_trains_validates_and_tests_with_a_plain_dataloader(tmp_path):
    model, own = LitClassifier("mlp", lr=1e-2), trainer(tmp_path, max_epochs=30)
    own.fit(model, loader(), loader())
    assert own.callback_metrics["train_acc"] > 0.9
    assert own.test(model, loader(), verbose=False)[0]["test_acc"] > 0.9


def test_metrics_are_those_of_the_whole_epoch(tmp_path):
    """The last batch is smaller: a mean of batch means would be wrong."""
    model = LitClassifier("cnn_dropout")
    result = trainer(tmp_path).validate(model, loader(count=50), verbose=False)[0]
    images, labels = loader(count=50).dataset.tensors
    with torch.no_grad():
        logits = model.eval()(images)
    assert result["val_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert result["val_acc"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_training_metrics_are_the_running_ones_of_the_epoch(tmp_path):
    class Spy(Callback):
        losses = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.losses.append(outputs["loss"].item() * len(batch[1]))

        def on_train_epoch_end(self, trainer, module):
            self.expected, self.losses = sum(self.losses) / 50, []

    model, spy = LitClassifier("mlp"), Spy()
    own = trainer(tmp_path, spy)
    own.fit(model, loader(count=50, shuffle=True), loader(count=20))
    assert own.callback_metrics["train_loss"].item() == pytest.approx(spy.expected, rel=1e-5)


def step_loss(model: LitClassifier) -> torch.Tensor:
    return model.training_step(next(iter(loader())), 0)


def test_the_l2_penalty_is_part_of_the_loss_and_not_of_the_reported_one():
    torch.manual_seed(3)
    plain = LitClassifier({"name": "cnn_l2", "l2": 0.0})
    penalised = LitClassifier({"name": "cnn_l2", "l2": 0.1})
    penalised.load_state_dict(plain.state_dict())
    assert (step_loss(penalised) - step_loss(plain)).item() == pytest.approx(penalised.model.penalty().item(), rel=1e-4)


def test_auxiliary_heads_count_three_tenths_each():
    model = LitClassifier("googlenet").train()
    images, labels = next(iter(loader()))
    state = torch.get_rng_state()
    loss = model.training_step((images, labels), 0)
    torch.set_rng_state(state)  # the heads' dropout draws the same numbers
    logits, second, first = model.model(images)
    expected = F.cross_entropy(logits, labels) + 0.3 * (
        F.cross_entropy(second, labels) + F.cross_entropy(first, labels)
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)


def test_label_smoothing_is_torchs():
    torch.manual_seed(3)
    model = LitClassifier("mlp", label_smoothing=0.2)
    images, labels = next(iter(loader()))
    expected = F.cross_entropy(model(images), labels, label_smoothing=0.2)
    assert step_loss(model).item() == pytest.approx(expected.item())


def test_hyper_parameters_are_plain_and_rebuild_the_module_from_a_checkpoint_alone(tmp_path):
    model = LitClassifier({"name": "cnn", "dense": [32], "batch_norm": True}, lr=0.01, scheduler={"name": "cosine"})
    own = trainer(tmp_path, enable_checkpointing=True)
    own.fit(model, loader(), loader())
    own.save_checkpoint(tmp_path / "model.ckpt")
    torch.load(tmp_path / "model.ckpt", weights_only=True)  # refuses anything but plain values and tensors
    again = LitClassifier.load_from_checkpoint(tmp_path / "model.ckpt")
    assert dict(again.hparams) == dict(model.hparams)
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(again.eval()(images), model.eval()(images))


@pytest.mark.parametrize("name", [*OPTIMIZERS])
def test_every_optimizer_trains(tmp_path, name):
    model = LitClassifier("mlp", lr={"sgd": 0.1, "radam": 1e-2}.get(name, 1e-3), optimizer=name)
    own = trainer(tmp_path, max_epochs=8)
    own.fit(model, loader(), loader())
    assert own.callback_metrics["train_loss"] < 2.2
    assert isinstance(own.optimizers[0], OPTIMIZERS[name])


class LearningRates(Callback):
    """Notes the learning rate that each step used, by epoch."""

    def __init__(self):
        self.steps = []

    def on_train_epoch_start(self, trainer, module):
        self.steps.append([])

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.steps[-1].append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("scheduler", "rates", "why"),
    [
        ("none", [[0.1] * 4, [0.1] * 4, [0.1] * 4], "it stays"),
        ({"name": "exponential", "gamma": 0.5}, [[0.1] * 4, [0.05] * 4, [0.025] * 4], "it falls after each epoch"),
        ({"name": "plateau", "monitor": "val_loss", "patience": 0, "factor": 0.5, "threshold": 1e9},
         [[0.1] * 4, [0.05] * 4, [0.025] * 4], "nothing is improvement enough"),
        ("cosine",
         [[0.1, 0.0983, 0.0933, 0.0854], [0.075, 0.0629, 0.05, 0.0371], [0.025, 0.0146, 0.0067, 0.0017]],
         "half a cosine over all twelve steps"),
        ({"name": "onecycle", "pct_start": 0.5, "anneal_strategy": "linear", "div_factor": 10, "final_div_factor": 1},
         [[0.01, 0.028, 0.046, 0.064], [0.082, 0.1, 0.085, 0.07], [0.055, 0.04, 0.025, 0.01]], "up, then down"),
    ],
)  # fmt: skip
def test_schedules_change_the_learning_rate_when_they_say(tmp_path, scheduler, rates, why):
    spy = LearningRates()
    model = LitClassifier("mlp", lr=0.1, optimizer="sgd", scheduler=scheduler)
    trainer(tmp_path, spy, max_epochs=3).fit(model, loader(), loader())
    for got, expected in zip(spy.steps, rates, strict=True):
        assert got == pytest.approx(expected, abs=1e-3), why


def test_ema_evaluates_the_averaged_weights_and_trains_the_others(tmp_path):
    class Spy(Callback):
        evaluated, trained = None, None

        def on_train_batch_end(self, trainer, module, *rest):
            self.trained = module.model.head.weight.detach().clone()

        def on_validation_batch_start(self, trainer, module, *rest):
            self.evaluated = module.model.head.weight.detach().clone()

    spy, ema = Spy(), EMA(0.9)
    model = LitClassifier("mlp", lr=0.05)
    start = model.model.head.weight.detach().clone()
    trainer(tmp_path, ema, spy, max_epochs=1).fit(model, loader(), loader())
    assert not torch.allclose(spy.evaluated, spy.trained)
    assert (spy.evaluated - start).norm() < (spy.trained - start).norm(), "an average lags behind"
    assert torch.equal(model.model.head.weight, spy.evaluated), "the average is what is left after training"


def test_ema_follows_its_formula_and_counts_on_the_host(tmp_path):
    """Of floats and of counters; compared with a loop that writes the formula out."""

    class Spy(Callback):
        def __init__(self):
            self.expected, self.steps = {}, 0

        def on_train_batch_end(self, trainer, module, *rest):
            decay = min(0.5, (1 + self.steps) / (10 + self.steps)) if self.steps else 0.0
            for name, value in module.state_dict().items():
                if value.is_floating_point() and self.steps:
                    value = decay * self.expected[name] + (1 - decay) * value
                self.expected[name] = value.clone()
            self.steps += 1

    spy, ema = Spy(), EMA(0.5)
    model = LitClassifier("cnn_batchnorm", lr=0.05)
    trainer(tmp_path, ema, spy, max_epochs=2).fit(model, loader(), loader())
    assert ema.steps == spy.steps > 4 and type(ema.steps) is int
    for name, value in model.state_dict().items():
        assert torch.allclose(value, spy.expected[name], atol=1e-6), name


def test_ema_stays_on_the_device_that_trains_and_never_reads_from_it(tmp_path):
    model, ema = LitClassifier("cnn_batchnorm").to("meta"), EMA(0.5)  # to read a value of a meta tensor is an error
    ema.on_fit_start(trainer(tmp_path), model)
    for _ in range(3):
        ema._update()
    checkpoint = {"state_dict": model.state_dict()}
    ema.on_save_checkpoint(trainer(tmp_path), model, checkpoint)
    assert ema.steps == 3 and {value.device.type for value in checkpoint["state_dict"].values()} == {"meta"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "cn"}, "unknown model 'cn'; did you mean cnn"),
        ({"lr": 0}, "lr=0: the learning rate must be above 0"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"lr": float("inf")}, "lr=inf: the learning rate must be above 0, and a finite number"),
        ({"lr": "0.1"}, "lr='0.1': the learning rate must be"),
        ({"label_smoothing": "0.1"}, "label_smoothing='0.1': it must lie in"),
        ({"image_shape": (28, 28)}, "image_shape=.28, 28.: it must be .channels, height, width., such as"),
        ({"image_shape": 28}, "image_shape=28: it must be"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0: it must lie in"),
        ({"model": {"dense": 3}}, "has no 'name'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        LitClassifier(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adm"}, "unknown optimizer 'adm'; did you mean adam"),
        ({"optimizer": {"name": "sgd", "momentun": 0.9}}, "optimizer 'sgd' 'momentun'; did you mean momentum"),
        ({"optimizer": {"name": "adam", "betas": [2, 0.9]}}, "optimizer 'adam': Invalid beta"),
        ({"scheduler": "cosin"}, "unknown scheduler 'cosin'; did you mean cosine"),
        ({"scheduler": {"name": "exponential", "gama": 0.9}}, "scheduler 'exponential' 'gama'; did you mean gamma"),
    ],
)  # fmt: skip
def test_bad_optimizers_and_schedules_are_named(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        trainer(tmp_path).fit(LitClassifier("mlp", **arguments), loader(), loader())


@pytest.mark.parametrize("batch_sizes", [(50,), (16, 16, 18), (1,) * 50], ids=len)
def test_metrics_do_not_depend_on_how_images_were_divided_into_batches(batch_sizes):
    logits, labels = torch.randn(50, 10), torch.arange(50) % 10
    metric = LossAndAccuracy()
    for part, own in zip(logits.split(batch_sizes), labels.split(batch_sizes), strict=True):
        metric.update(part, own)
    expected = F.cross_entropy(logits.double(), labels).item()
    assert metric.compute()["loss"].item() == pytest.approx(expected, rel=1e-7)
    assert metric.compute()["acc"].item() == (logits.argmax(1) == labels).sum().item() / 50


@pytest.mark.parametrize("step", ["training_step", "validation_step", "test_step"])
def test_a_step_keeps_no_reference_to_its_logits(step):
    model, outputs = LitClassifier("mlp_128"), []
    model.model.register_forward_hook(lambda module, inputs, output: outputs.append(weakref.ref(output)))
    getattr(model, step)((torch.rand(8, 1, 28, 28), torch.arange(8)), 0)
    assert [output() for output in outputs] == [None]
