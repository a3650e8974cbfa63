"""Which jobs can be stacked, as far as their networks and optimizers say. Nothing is trained, and no file written."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mnist_zoo.data import MNISTDataModule
from mnist_zoo.errors import InputError
from mnist_zoo.optim import build_optimizer, build_scheduler, follows_metric
from mnist_zoo.speed.several_steps import steps_alone
from mnist_zoo.stacked.job import StackedJob
from mnist_zoo.stacked.loaded import Loaded
from mnist_zoo.stacked.network import StackedNetwork
from mnist_zoo.stacked.settings import Choice, NotStackable, require_stackable, stacks
from mnist_zoo.training.quiet import quiet_lightning

PROBE = 2  # images of the step that finds out whether a network can be stacked: batch norm needs two


def require_stackable_jobs(choices: Sequence[Choice], at_once: int) -> None:
    """Raise an error if `run_stacked` cannot train jobs. It changes no folder.

    Args:
        choices: the jobs.
        at_once: largest number of jobs that train at once.

    Raises:
        NotStackable: if a job cannot be trained so.
        InputError: if `at_once` or a setting is invalid, or the images cannot be loaded.
    """
    if not isinstance(at_once, int) or isinstance(at_once, bool) or at_once < 1:
        raise InputError(f"hydra.launcher.at_once={at_once}: it must be an integer of 1 or more")
    for choice in choices:
        require_stackable(choice.cfg, choice.folder.name)
        if choice.begun:
            raise NotStackable(
                "a job that has begun", "it has a checkpoint, and a stack starts anew", choice.folder.name
            )
    loaded = Loaded()
    with quiet_lightning():
        for numbers in stacks([choice.cfg for choice in choices], len(choices)):
            jobs = [StackedJob(choices[number]) for number in numbers]
            _require_stackable_network(jobs[0], loaded.data(jobs[0].cfg))
            _check_optimizers(jobs)


def _require_stackable_network(job: StackedJob, data: MNISTDataModule) -> None:
    """Raise NotStackable if a network, its optimizer or its schedule needs what a stack does not have."""
    classifier = job.build(data)
    name, place, model = f"model={job.cfg['model']['name']}", job.folder.path.name, classifier.model
    if hasattr(model, "training_loss"):
        raise NotStackable(name, "the network computes its own loss", place)
    if follows_metric(classifier.hparams["scheduler"]["name"]):
        raise NotStackable(f"scheduler={job.cfg['scheduler']['name']}", "it follows a metric of one job", place)
    if not steps_alone(classifier):
        raise NotStackable(f"optimizer={job.cfg['optimizer']['name']}", "it computes the loss of one job again", place)
    if not all(weight.requires_grad for weight in model.parameters()):
        raise NotStackable(name, "some of its weights are frozen", place)
    images = torch.zeros(2, PROBE, *data.image_shape)
    try:
        network = StackedNetwork([model, model], classifier.hparams["loss"], [0.0, 0.0], torch.device("cpu"))
        network.backward(images, torch.zeros(2, PROBE, dtype=torch.int64))
        network.logits(images[0])
    except InputError:
        raise
    except Exception as error:  # vmap has many ways to say that it does not know something
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if "random" in lines[0]:
            raise NotStackable(
                f"{name} with dropout", "its random numbers would differ from those of the job alone", place
            ) from error
        raise NotStackable(name, f"torch.func.vmap: {lines[0]}", place) from error


def _check_optimizers(jobs: Sequence[StackedJob]) -> None:
    """Raise InputError if the options of a job's optimizer or schedule are invalid; the first job is built."""
    weights = [*jobs[0].classifier.model.parameters()]
    for choice in {
        repr([job.cfg[part] for part in ("optimizer", "scheduler", "lr")]): job.cfg for job in jobs
    }.values():
        optimizer = build_optimizer(choice["optimizer"], weights, choice["lr"])
        if choice["scheduler"]["name"] != "none":
            build_scheduler(choice["scheduler"], optimizer, choice["epochs"], 1)
