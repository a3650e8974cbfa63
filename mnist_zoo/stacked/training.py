"""The training of a stack of jobs: steps, validation, the best epoch of each, and its evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_zoo.classifier import LitClassifier
from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import DivergedError, ZooError
from mnist_zoo.splits import SPLITS
from mnist_zoo.stacked.batches import StackedBatches
from mnist_zoo.stacked.job import StackedJob
from mnist_zoo.stacked.network import StackedNetwork
from mnist_zoo.stacked.optimizers import StackedOptimizer
from mnist_zoo.stacked.step import CapturedStep, Step

EVALUATED = 8192  # images of all jobs that are evaluated at once: each layer's output of them is in memory


class Stack:
    """Jobs whose networks are trained at once.

    Args:
        jobs: with their run folders open, and built.
        data: of all jobs, but for the order of the images; its batches are on the device that trains.
        fused: whether to use torch's fused optimizer kernels.
        capture: whether to capture the step as a CUDA graph.

    Raises:
        InputError: if the optimizer or the schedule of a job is invalid.
    """

    def __init__(self, jobs: Sequence[StackedJob], data: MNISTDataModule, *, fused: bool, capture: bool):
        self.jobs, self.data, self._device = jobs, data, data.device
        classifiers: list[LitClassifier] = [job.classifier for job in jobs]
        hparams = [classifier.hparams for classifier in classifiers]
        smoothing = [given["label_smoothing"] for given in hparams]
        self.network = StackedNetwork([each.model for each in classifiers], hparams[0]["loss"], smoothing, data.device)
        self._batches = StackedBatches(data.train_dataloader(), [job.cfg["seed"] for job in jobs])
        self._epochs = jobs[0].cfg["epochs"]
        self.optimizer = StackedOptimizer(
            hparams,
            [self.network.views(number) for number in range(len(jobs))],
            self._epochs * len(self._batches),
            len(self._batches),
            fused=fused,
            device=data.device,
            capture=capture,
        )
        self._step = (CapturedStep if capture else Step)(self.network, self.optimizer)
        self._validation = [*data.val_dataloader()]
        self._best = self.network.copies()

    def fit(self) -> None:
        """Train all epochs. A job whose loss is not finite fails; the others go on."""
        for epoch in range(self._epochs):
            for number, job in enumerate(self.jobs):
                job.curves.start_epoch(self.optimizer.rate(number))
            trained = self._train(epoch)
            for job in self.jobs:
                job.curves.start_validation()
            measured = torch.stack([*trained, *self._validate()]).tolist()
            self._record(epoch + 1, measured)
            if not self._going_on():
                return

    def finish(self, device: str, optimisations: list[str]) -> None:
        """Save the checkpoints of every job, evaluate its best epoch on all splits, once, and finish its folder."""
        steps, last = self._epochs * len(self._batches), self.network.copies()
        self.network.take(self._best)
        logits = {split: self._logits(split) for split in SPLITS}
        for number, job in self._going_on():
            ended, best = (_of_job(number, of_all) for of_all in (last, self._best))
            optimizer, schedule = self.optimizer.state(number)
            own = {split: of_all[number] for split, of_all in logits.items()}
            try:
                job.save(ended, best, self.data, steps=steps, optimizer=optimizer, schedule=schedule)
                job.finish(own, self.data, device, optimisations)
            except ZooError as error:
                job.fail(error)

    def _going_on(self) -> list[tuple[int, StackedJob]]:
        return [(number, job) for number, job in enumerate(self.jobs) if job.result is None]

    def _train(self, epoch: int) -> Iterator[Tensor]:
        """Train an epoch, and return loss and accuracy of each job, float64 ``(J,)``."""
        sums = _Sums(len(self.jobs), self._device)
        for images, labels in self._batches.epoch(epoch):
            logits = [self._step(*batch).clone() for batch in zip(images, labels, strict=True)]
            sums.add(torch.cat(logits, 1), labels.transpose(0, 1).flatten(1))
        return sums.means()

    def _validate(self) -> Iterator[Tensor]:
        """Return loss and accuracy of each job on the validation split, float64 ``(J,)``."""
        sums = _Sums(len(self.jobs), self._device)
        size = max(1, EVALUATED // len(self.jobs))
        for batch in self._validation:
            for images, labels in zip(*(tensor.split(size) for tensor in batch), strict=True):
                sums.add(self.network.logits(images), labels.expand(len(self.jobs), -1))
        return sums.means()

    def _record(self, epoch: int, measured: Sequence[Sequence[float]]) -> None:
        improved = []
        names = ("train_loss", "train_acc", "val_loss", "val_acc")
        for number, job in self._going_on():
            metrics = {name: of_all[number] for name, of_all in zip(names, measured, strict=True)}
            try:
                if job.end_epoch(epoch, metrics, self._batches.images, epoch * len(self._batches)):
                    improved.append(number)
            except DivergedError as error:
                job.fail(error)
        for _, job in self._going_on():
            job.write_progress()
        if improved:
            chosen = torch.tensor(improved, device=self._device)
            for name, tensor in self.network.tensors().items():
                self._best[name].index_copy_(0, chosen, tensor.detach().index_select(0, chosen))

    def _logits(self, split: str) -> Tensor:
        """Return the logits ``(J, N, C)`` of a split, on the CPU."""
        size = max(1, EVALUATED // len(self.jobs))
        parts = [part for images, _ in self.data.eval_dataloader(split) for part in images.split(size)]
        return torch.cat([self.network.logits(part).cpu() for part in parts], 1)


def _of_job(number: int, stacked: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor[number].cpu() for name, tensor in stacked.items()}


class _Sums:
    """Sums of loss and correct predictions of ``J`` jobs, in float64, as `mnist_zoo.classifier.LossAndAccuracy`."""

    def __init__(self, jobs: int, device: torch.device):
        self._loss, self._correct = (torch.zeros(jobs, dtype=torch.float64, device=device) for _ in range(2))
        self._images = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Add images: logits ``(J, N, C)`` and labels ``(J, N)``."""
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
        self._loss += losses.sum(1, dtype=torch.float64)
        self._correct += (logits.argmax(2) == labels).sum(1)
        self._images += labels.shape[1]

    def means(self) -> Iterator[Tensor]:
        """Return mean loss and accuracy, ``(J,)`` each."""
        return iter((self._loss / self._images, self._correct / self._images))
