"""LitClassifier: the training of any network of the zoo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy

from mnist_zoo.errors import InputError
from mnist_zoo.models import create_model
from mnist_zoo.optim import build_optimizer, build_scheduler
from mnist_zoo.rows import Rows
from mnist_zoo.speed.patches import join_pooling

STEP_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")
AUXILIARY_WEIGHT = 0.3  # of each auxiliary head's loss: Szegedy et al. 2015, section 5


class LitClassifier(pl.LightningModule):
    """Cross-entropy training of a registered network, with accuracy and loss for each split and epoch.

    Works with any loader of ``(images, labels)``: float32 ``(N, C, H, W)`` of a size that the network takes, int64
    ``(N,)``. Logs ``train_loss``, ``train_acc``, ``val_loss``, ``val_acc``, ``test_loss``, ``test_acc`` once an epoch:
    accuracies are fractions, losses plain cross-entropy in nats (without label smoothing, penalties or auxiliary
    heads, so that they compare). Nothing is read back from the device within an epoch.

    With ``automatic_optimization`` set to False, ``training_step`` takes a list of batches, and an optimizer step for
    each: Lightning's bookkeeping, which takes about as long as a step of a small network, is then paid once a list. The
    weights come out the same to the last bit. `training.run.run` does so where nothing can tell the difference.

    Args:
        model: a registered name, or a dict with ``name`` and the network's options.
        lr: learning rate at the start (the peak for ``onecycle``).
        optimizer: ``adam``, ``adamw``, ``rmsprop`` or ``sgd``, or a dict with ``name`` and its options.
        scheduler: ``none``, ``plateau``, ``exponential``, ``cosine`` or ``onecycle``, or a dict with ``name`` and its
            options.
        label_smoothing: share of the target spread over all classes, in [0, 1).
        num_classes, in_chans: of the network.

    Raises:
        InputError: unknown names, or values out of range.

    Example:
        >>> import torch
        >>> from mnist_zoo import LitClassifier
        >>> classifier = LitClassifier({"name": "cnn", "dense": 96}, lr=3e-4, optimizer="adamw")
        >>> classifier(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> classifier.model.features(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 96])
    """

    def __init__(
        self,
        model: str | Mapping = "cnn",
        *,
        lr: float = 1e-3,
        optimizer: str | Mapping = "adam",
        scheduler: str | Mapping = "none",
        label_smoothing: float = 0.0,
        num_classes: int = 10,
        in_chans: int = 1,
    ):
        super().__init__()
        if not lr > 0:
            raise InputError(f"lr={lr}: the learning rate must be above 0")
        if not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing={label_smoothing}: it must lie in [0, 1)")
        # Plain values only: a checkpoint then loads with weights_only=True and without further arguments.
        model, optimizer, scheduler = _named(model), _named(optimizer), _named(scheduler)
        self.save_hyperparameters()
        self.model = create_model(**model, num_classes=num_classes, in_chans=in_chans)
        self._label_smoothing, self._has_penalty = label_smoothing, hasattr(self.model, "penalty")
        lay_out(self.model)
        self._logits, self._labels = Rows(), Rows()  # of the epoch under way
        self._metrics = nn.ModuleDict()
        for split in ("train", "val", "test"):
            # A NaN must show ("disable" lets it, too, but forgets the weights: DDP's processes differ by an image).
            self._metrics[f"{split}_loss"] = MeanMetric(nan_strategy=float("nan"))
            self._metrics[f"{split}_acc"] = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to logits ``(N, num_classes)``."""
        return self.model(images)

    # Returns the loss of a batch; or, if optimisation is manual, takes an optimizer step for each batch of a list.
    def training_step(self, batch, batch_idx: int) -> Tensor | None:
        if self.automatic_optimization:
            return self._loss(*batch)
        watched = self._steps_are_watched
        optimizer = self.optimizers(use_pl_optimizer=watched)
        count = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress  # global_step
        for images, labels in batch:
            loss = self._loss(images, labels)
            optimizer.zero_grad()
            if watched:
                self.manual_backward(loss)
                optimizer.step()
            else:
                loss.backward()
                count.increment_ready()
                optimizer.step()
                count.increment_completed()
            for config in self._schedules:
                if self.trainer.global_step % config.frequency == 0:
                    config.scheduler.step()
        return None

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return what a batch's gradient is taken of, and keep its outputs for the epoch's metrics."""
        output = self.model(images)
        logits, *auxiliary = output if isinstance(output, tuple) else (output,)
        loss = F.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)
        for head in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * F.cross_entropy(head, labels, label_smoothing=self._label_smoothing)
        penalty = self.model.penalty() if self._has_penalty else None
        if penalty is not None:
            loss = loss + penalty
        self._keep(logits.detach(), labels)
        if self._trainer is None or self._trainer.world_size == 1:
            return loss
        return loss * self._share(labels)

    def _keep(self, logits: Tensor, labels: Tensor) -> None:
        self._logits.append(logits)
        self._labels.append(labels)

    def _share(self, labels: Tensor) -> Tensor:
        """Return by what to multiply a process's mean loss, so that DDP's mean of gradients is the whole batch's.

        It is 1 but for a last batch that the processes cannot share evenly.
        """
        count = torch.tensor(float(len(labels)), device=labels.device)
        return count / self._trainer.strategy.reduce(count.clone(), reduce_op="mean")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        self._keep(self.model(images), labels)

    test_step = validation_step

    def predict_step(self, batch: Tensor | Sequence[Tensor], batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return the logits of a batch of images, alone or with labels."""
        return self.model(batch if isinstance(batch, Tensor) else batch[0])

    # Lightning validates between a training epoch's last batch and its end: close the training outputs before that.
    def on_validation_epoch_start(self) -> None:
        self._score("train")

    def on_train_epoch_end(self) -> None:
        self._score("train")
        self._log("train")

    def on_validation_epoch_end(self) -> None:
        self._score("val")
        self._log("val")

    def on_test_epoch_end(self) -> None:
        self._score("test")
        self._log("test")

    def _score(self, split: str) -> None:
        """Move the outputs of the steps so far into the split's metrics."""
        if not self._labels:
            return
        logits, labels = self._logits.tensor().float(), self._labels.tensor()
        self._metrics[f"{split}_loss"].update(F.cross_entropy(logits, labels), len(labels))
        self._metrics[f"{split}_acc"].update(logits, labels)
        self._logits.clear()
        self._labels.clear()

    def _log(self, split: str) -> None:
        names: tuple[str, ...] = (f"{split}_loss", f"{split}_acc")
        metrics: dict[str, Metric] = {name: self._metrics[name] for name in names}
        self.log_dict(metrics, on_step=False, on_epoch=True)
        if not self.automatic_optimization:  # loggers would count lists of batches
            self.log("step", float(self.trainer.global_step))

    # A run can be continued within an epoch, whose outputs so far count in its training loss and accuracy.
    def on_save_checkpoint(self, checkpoint: dict) -> None:
        if self._labels:
            checkpoint["epoch_outputs"] = [rows.tensor().clone() for rows in (self._logits, self._labels)]

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        if "epoch_outputs" in checkpoint:
            self._keep(*checkpoint["epoch_outputs"])
        if "loops" in checkpoint:
            # Lightning counts optimizer steps apart in its two modes, and training may go on in the other one.
            loop = checkpoint["loops"]["fit_loop"]
            automatic = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
            manual = loop["epoch_loop.manual_optimization.optim_step_progress"]
            for count in (automatic["total"], manual["total"]):
                count["ready"] = count["completed"] = checkpoint["global_step"]

    def on_train_start(self) -> None:
        trainer = self.trainer
        # With nobody to see a single step, torch's own calls do what Lightning's would.
        self._steps_are_watched = (
            trainer.precision != "32-true"
            or not isinstance(trainer.profiler, PassThroughProfiler)
            or any(is_overridden(hook, each) for hook in STEP_HOOKS for each in (self, *trainer.callbacks))
        )
        self._schedules = trainer.lr_scheduler_configs
        for rows in (self._logits, self._labels):
            rows.to(self.device)

    def configure_optimizers(self):
        """Return the optimizer and schedule named by the hyper-parameters, in Lightning's form."""
        # Under mixed precision a fused optimizer scales gradients on its own, and Lightning cannot clip them before.
        fused = not (self.trainer.gradient_clip_val and self.trainer.precision.endswith("mixed"))
        optimizer = build_optimizer(self.hparams.optimizer, self.model.parameters(), self.hparams.lr, fused=fused)
        return build_scheduler(self.hparams.scheduler, optimizer, self.trainer)


def lay_out(network: nn.Module) -> None:
    """Give a network the form in which it trains faster (`python -m benchmarks levers`), with its parameters' names.

    Convolutions get their weights channels last, and a first convolution is joined with its pooling. A network that
    says ``channels_last = False`` keeps its own form; dense weights stay as they are.
    """
    if getattr(network, "channels_last", True):
        network.to(memory_format=torch.channels_last)
        join_pooling(network)


def _named(choice: str | Mapping) -> dict:
    """Return a choice as a plain dict with ``name`` and options, whatever mapping or string it came as."""
    if isinstance(choice, str):
        return {"name": choice}
    if "name" not in choice:
        raise InputError(f"{dict(choice)} has no 'name': give a name, or a dict with a name and its options")
    return {str(key): _plain(value) for key, value in choice.items()}


def _plain(value):
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
