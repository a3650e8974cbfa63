"""Parts of other projects by name: optimizers, schedules, losses, augmentations and callbacks."""

import shlex
import signal
import sys
from pathlib import Path

import pytest
import torch
from marks import slow
from pytorch_lightning.callbacks import Callback
from torch.optim import lr_scheduler

from mnist_zoo import (
    LitClassifier,
    MNISTDataModule,
    register_augmentation,
    register_loss,
    register_optimizer,
    register_scheduler,
)
from mnist_zoo.errors import InputError
from mnist_zoo.hydra_app.arguments import prepare
from mnist_zoo.hydra_app.catalogue import choices
from mnist_zoo.hydra_app.compose import compose_config
from mnist_zoo.hydra_app.names import job_name
from mnist_zoo.hydra_app.resume import resumed
from mnist_zoo.losses import build_loss
from mnist_zoo.runs import read_curves, read_metrics
from mnist_zoo.runs.identity import comparable, identity
from mnist_zoo.settings import check
from mnist_zoo.training.run import run

MODULE = '''
"""Parts of a project of one's own."""
import torch
from pytorch_lightning.callbacks import Callback
from mnist_zoo import register_augmentation, register_loss, register_optimizer, register_scheduler

@register_optimizer("my_sgd")
class MySGD(torch.optim.SGD):
    """Gradient descent of mine."""
    def __init__(self, params, lr, momentum=0.5, betas=(0.9, 0.99)):
        super().__init__(params, lr=lr, momentum=momentum)

@register_scheduler("my_decay", every="epoch")
def my_decay(optimizer, steps, factor=0.5):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor**step)

@register_loss("my_loss")
def my_loss(logits, targets, scale=1.0):
    return scale * torch.nn.functional.cross_entropy(logits, targets)

@register_augmentation("my_noise")
def my_noise(images, generator, strength=0.1):
    return images + 255 * strength * torch.rand(images.shape, generator=generator)

class Counter(Callback):
    epochs = 0
    def on_train_epoch_end(self, trainer, module):
        Counter.epochs += 1

class Needy(Callback):
    def __init__(self, path):
        self.path = path
'''
OURS = ["optimizer=my_sgd", "scheduler=my_decay", "loss=my_loss", "augment=my_noise"]
OPTIONS = ["optimizer.betas=[0.8,0.9]", "scheduler.factor=0.25", "loss.scale=2.0", "augment.strength=0.3"]


@pytest.fixture
def plugin(tmp_path, monkeypatch, own_parts):
    """Return the overrides that load a module of parts, which is forgotten after the test."""
    (tmp_path / "my_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield ["plugins=[my_parts]"]
    sys.modules.pop("my_parts", None)


def test_names_and_options_work_on_the_command_line_once_the_plug_in_is_loaded(plugin):
    cfg = compose_config([*plugin, *OURS, *OPTIONS, "augment.rotate=5"])
    check(cfg)
    assert cfg["optimizer"] == {"name": "my_sgd", "momentum": 0.5, "betas": [0.8, 0.9]}
    assert cfg["scheduler"] == {"name": "my_decay", "factor": 0.25}
    assert cfg["loss"] == {"name": "my_loss", "scale": 2.0}
    assert (cfg["augment"]["name"], cfg["augment"]["strength"], cfg["augment"]["rotate"]) == ("my_noise", 0.3, 5)
    assert prepare([*plugin, *OURS, "data=mnist5k"])[:5] == [*plugin, *OURS]
    jobs = {job_name([*OURS, f"loss.scale={scale}"]) for scale in (1, 2)}
    assert len(jobs) == 2, "jobs of a sweep over an option have different folders"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optimizer=my_sdg", "unknown optimizer 'my_sdg'; did you mean my_sgd"),
        ("scheduler=my_deca", "unknown scheduler 'my_deca'; did you mean my_decay"),
        ("loss=my_los", "unknown loss 'my_los'; did you mean my_loss"),
        ("augment=my_nose", "unknown augment 'my_nose'; did you mean my_noise"),
        ("optimizer.momentun=0.1", "unknown setting of optimizer 'momentun'; did you mean momentum"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest_ones(plugin, word, message):
    with pytest.raises(InputError, match=message):
        compose_config([*plugin, *(OURS if "." in word else ()), word])


@pytest.mark.parametrize(
    ("register", "name", "kind"),
    [
        (register_optimizer, "adam", "an optimizer"),
        (register_scheduler, "cosine", "a scheduler"),
        (register_loss, "cross_entropy", "a loss"),
        (register_augmentation, "my_twice", "an augmentation"),
        (register_augmentation, "affine", "an augmentation"),
    ],
)
def test_a_name_is_registered_once(own_parts, register, name, kind):
    def part(images, generator):
        return images

    if name == "my_twice":
        assert register(name)(part) is part
    with pytest.raises(InputError, match=f"{kind} named '{name}' is already registered; choose another name"):
        register(name)(part)
    with pytest.raises(InputError, match="needs a name"):
        register(part)


def test_plug_ins_are_listed_with_their_options(plugin):
    listed = {choice.name: choice for choice in choices("optimizers", ["my_parts"])}
    assert listed["my_sgd"].about == "Gradient descent of mine. (plugins=[my_parts])"
    assert dict(listed["my_sgd"].options) == {"momentum": 0.5, "betas": (0.9, 0.99)}
    assert [choice.name for choice in choices("losses", ["my_parts"])][-1] == "my_loss"
    assert choices("speed", ["my_parts"]) == choices("speed")


def small(config, *words):
    data = ("data=custom", "data.name=stripes", "model=mlp", "epochs=4", "trainer=cpu", "progress=none", "logger=none")
    return compose_config([*data, "batch_size=16", *words])


class Stop(Callback):
    """Sends a termination signal within an epoch."""

    accepts_lists = True

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == 5:
            signal.raise_signal(signal.SIGTERM)


def resumes_exactly(cfg, tmp_path, results):
    """Assert that a run on lists of batches equals one on single batches that was ended within an epoch and resumed."""
    run(cfg, tmp_path / "whole")
    assert "several_steps" in read_metrics(tmp_path / "whole")["speed"]
    with pytest.raises(KeyboardInterrupt):
        run(cfg | {"speed": {"off": ["several_steps"]}}, tmp_path / "cut", callbacks=[Stop()])
    run(cfg | {"speed": {"off": ["several_steps"]}}, tmp_path / "cut", resume=True)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


@pytest.mark.parametrize(
    "words",
    [
        slow(("optimizer=lion", "augment=mixup", "scheduler=warmup_cosine", "label_smoothing=0.1")),
        ("optimizer=muon", "augment=cutmix", "loss=focal", "scheduler=onecycle"),
        slow(("optimizer=nadam", "augment=trivial", "augment.shift=0.1", "scheduler=cosine")),
        slow(("optimizer=radam", "augment=mixup", "loss=focal", "label_smoothing=0.1")),
    ],
    ids=lambda words: words[0],
)
def test_a_run_with_new_parts_of_the_library_resumes_exactly(tmp_path, results, words):
    resumes_exactly(small(compose_config, *words, "epochs=3"), tmp_path, results)


def test_a_run_with_every_part_resumes_exactly_and_its_checkpoint_loads_without_them(plugin, tmp_path, results):
    resumes_exactly(small(compose_config, *plugin, *OURS, *OPTIONS, "lr=0.01"), tmp_path, results)
    assert [round(row["lr"] / 0.01, 6) for row in read_curves(tmp_path / "whole")] == [1, 1 / 4, 1 / 16, 1 / 64]
    metrics = read_metrics(tmp_path / "whole")
    assert metrics["optimizer"]["name"] == "my_sgd" and metrics["config"]["loss"] == {"name": "my_loss", "scale": 2.0}
    assert metrics["augment"]["strength"] == 0.3
    checkpoint = tmp_path / "whole/checkpoints/best.ckpt"
    again = LitClassifier.load_from_checkpoint(checkpoint)
    assert again.hparams["loss"] == {"name": "my_loss", "scale": 2.0}


def test_without_new_parts_a_run_is_as_in_earlier_versions(config):
    cfg = config()
    older = {key: value for key, value in cfg.items() if key not in ("loss", "callbacks")}
    assert comparable(cfg) == comparable(older) and identity(cfg, "x") == identity(older, "x")
    check(older)
    for change in ({"loss": {"name": "focal"}}, {"callbacks": ["a.B"]}):
        assert identity(cfg | change, "x") != identity(cfg, "x"), change


def test_an_optimizer_that_needs_a_closure_and_one_of_another_project_switch_the_speed_off_that_they_lack(
    own_parts, tmp_path
):
    register_optimizer("closing")(torch.optim.LBFGS)
    assert torch.optim.LBFGS.__module__.startswith("torch.optim")

    @register_optimizer("closure")
    class Closing(torch.optim.SGD):
        def __init__(self, params, lr, fused=False):
            super().__init__(params, lr=lr)
            self.closures = 0

        def step(self, closure):  # needs one
            assert closure is not None
            return super().step(closure)

    cfg = small(compose_config, "epochs=1")
    run(cfg | {"optimizer": {"name": "closure"}}, tmp_path / "closure")
    assert not {"several_steps", "fused"} & set(read_metrics(tmp_path / "closure")["speed"])
    run(cfg | {"optimizer": {"name": "closing"}}, tmp_path / "closing")
    assert not {"several_steps", "fused"} & set(read_metrics(tmp_path / "closing")["speed"])


def test_a_schedule_that_follows_a_metric_gets_it(own_parts, tmp_path):
    heard = []

    @register_scheduler("listening", every="epoch")
    class Listening(lr_scheduler.ReduceLROnPlateau):
        def __init__(self, optimizer, steps, monitor="val_loss"):
            super().__init__(optimizer, mode="min")

        def step(self, metric):
            heard.append(float(metric))

    run(small(compose_config, "epochs=2") | {"scheduler": {"name": "listening"}}, tmp_path)
    assert heard == pytest.approx([row["val_loss"] for row in read_curves(tmp_path)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": {"name": "wrong"}}, "optimizer 'wrong' gave int: it must return a torch.optim.Optimizer"),
        ({"scheduler": {"name": "deaf"}}, "scheduler 'deaf' follows a metric: give it an option monitor"),
        ({"loss": {"name": "rows"}}, "loss 'rows' must return a scalar tensor"),
        ({"augment": {"name": "crop"}}, r"augmentation 'crop' must return images of shape \(16, 1, 28, 28\)"),
        ({"augment": {"name": "broken"}}, r"augmentation 'broken' failed \(ValueError: no\)"),
        ({"augment": {"name": "clash"}}, "augmentation 'clash' has a parameter noise, which is a setting of every"),
        ({"augment": {"name": "crop", "sde": 3}}, "unknown option of augmentation 'crop' 'sde'; did you mean side"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_part_that_breaks_its_contract_is_one_line(own_parts, tmp_path, change, message):
    register_optimizer("wrong")(lambda params, lr: 5)
    register_scheduler("deaf")(lambda optimizer, steps: lr_scheduler.ReduceLROnPlateau(optimizer))
    register_loss("rows")(lambda logits, targets: logits.mean(1))
    register_augmentation("crop")(lambda images, generator, side=20: images[..., :side, :side])

    register_augmentation("clash")(lambda images, generator, noise=0.5: images)

    @register_augmentation("broken")
    def broken(images, generator):
        raise ValueError("no")

    cfg = small(compose_config, "epochs=1")
    change = {key: cfg[key] | value if key == "augment" else value for key, value in change.items()}
    with pytest.raises(InputError, match=message):
        run(cfg | change, tmp_path)


def test_a_loss_gets_labels_or_smoothed_probabilities(own_parts):
    seen = []
    register_loss("spy")(lambda logits, targets: seen.append(targets) or logits.mean())
    labels, logits = torch.tensor([1, 0]), torch.zeros(2, 4)
    build_loss({"name": "spy"})(logits, labels)
    build_loss({"name": "spy"}, 0.2)(logits, labels)
    assert torch.equal(seen[0], labels)
    assert seen[1].tolist() == [pytest.approx([0.05, 0.85, 0.05, 0.05]), pytest.approx([0.85, 0.05, 0.05, 0.05])]


def test_a_named_augmentation_follows_the_settings_and_is_the_same_wherever_a_pass_starts(own_parts):
    seen = []

    @register_augmentation("spy")
    def spy(images, generator, by=0.0):
        seen.append(torch.rand(1, generator=generator).item())
        return images + by

    data = MNISTDataModule("stripes", batch_size=16, normalize=False, augment={"name": "spy", "by": 255.0, "erase": 1})
    plain = MNISTDataModule("stripes", batch_size=16, normalize=False, augment={"erase": 1.0})
    for (images, labels), (before, expected) in zip(data.train_dataloader(), plain.train_dataloader(), strict=True):
        assert torch.allclose(images, before + 1) and torch.equal(labels, expected)
    whole, epoch = list(seen), data.train_dataloader()
    assert len(set(whole)) == len(epoch), "each batch has its own numbers"
    seen.clear()
    epoch.start_at(3)
    next(iter(epoch))
    assert seen[3] == whole[3]


class TestCallbacks:
    def test_a_named_callback_is_called(self, plugin, tmp_path):
        run(small(compose_config, "epochs=2", "callbacks=[my_parts.Counter]"), tmp_path / "run")
        assert sys.modules["my_parts"].Counter.epochs == 2
        assert read_metrics(tmp_path / "run")["config"]["callbacks"] == ["my_parts.Counter"]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("no_such_module.X", "callbacks: cannot import 'no_such_module'"),
            ("my_parts.Nothing", "callbacks: my_parts.Nothing: there is no such name"),
            ("my_parts.MySGD", "it is not a class of pytorch_lightning.Callback"),
            ("my_parts.Needy", r"Needy\(\) raises TypeError .*the class must need no arguments"),
        ],
    )
    def test_what_is_no_callback_is_one_line(self, plugin, tmp_path, name, message):
        with pytest.raises(InputError, match=message):
            run(small(compose_config, f"callbacks=[{name}]"), tmp_path / "run")

    def test_a_resumed_run_takes_them_only_if_they_are_named_again(self, tmp_path):
        (tmp_path / ".hydra").mkdir()
        (tmp_path / "status.json").write_text("{}")
        (tmp_path / ".hydra/overrides.yaml").write_text("- lr=0.1\n- callbacks=[evil.X]\n")
        with pytest.raises(InputError, match=r"if you trust it, add 'callbacks=\[evil.X\]': callbacks are code"):
            resumed(str(tmp_path), [f"resume={tmp_path}"])
        assert resumed(str(tmp_path), ["callbacks=[evil.X]"])[:2] == ["lr=0.1", "callbacks=[evil.X]"]


def test_the_example_of_the_page_on_parts_composes_and_trains(own_parts, tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs/parts.md").read_text()
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package/my_parts.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    monkeypatch.syspath_prepend(tmp_path)
    line = next(line for line in page.splitlines() if line.startswith("python -m mnist_zoo plugins"))
    cfg = small(compose_config, *shlex.split(line)[3:], "scheduler=my_decay", "epochs=1")
    check(cfg)
    assert 0 <= run(cfg, tmp_path / "run") <= 1
    for name in ("my_package", "my_package.my_parts"):
        monkeypatch.delitem(sys.modules, name)
