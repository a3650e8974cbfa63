"""The optimizers and schedules of the jobs of a stack: those of `mnist_zoo.optim`, on views of the stacked weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mnist_zoo.optim import OPTIMIZERS, build_optimizer, build_scheduler
from mnist_zoo.speed.fused import has_fused_kernel

# They update each element for itself, so that one of them can hold the weights of all jobs with the same settings.
ELEMENTWISE = ("adam", "adamw", "nadam", "radam", "rmsprop", "sgd", "lion")
LEARNING_RATE_ONLY = ("none", "cosine", "warmup_cosine", "exponential")  # schedules; onecycle changes betas as well


class _Shared:
    """The optimizer and the schedule of the jobs whose optimizer settings, schedule and learning rate are equal.

    Args:
        hparams: of one of the jobs.
        weights: of each job.
        steps: of the whole training.
        steps_per_epoch: batches.
        fused: whether to use torch's fused kernels where there are some.
        lr: the learning rate on the device, for steps that are captured; None for steps that are not.
    """

    def __init__(
        self,
        hparams: Mapping[str, Any],
        weights: Sequence[Sequence[nn.Parameter]],
        steps: int,
        steps_per_epoch: int,
        fused: bool,
        lr: Tensor | None,
    ):
        choice = dict(hparams["optimizer"])
        if fused and has_fused_kernel(choice):
            choice["fused"] = True
        if lr is not None and "capturable" in OPTIMIZERS.parameters(choice["name"]):
            choice["capturable"] = True
        every = [weight for of_job in weights for weight in of_job]
        self.optimizer = build_optimizer(choice, every, hparams["lr"])
        self.lr, self._scheduler, self._frequency, self._count = lr, None, 1, 0
        steered = self.optimizer
        if lr is not None and choice.get("capturable"):
            steered = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=hparams["lr"])
            for group in self.optimizer.param_groups:
                group["lr"] = lr
        self._steered: Optimizer = steered
        if hparams["scheduler"]["name"] != "none":
            config = build_scheduler(hparams["scheduler"], steered, steps, steps_per_epoch)
            self._scheduler, self._frequency = config["scheduler"], config["frequency"]

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._steered.param_groups[0]["lr"])

    def step_schedule(self) -> None:
        self._count += 1
        if self._scheduler is not None and self._count % self._frequency == 0:
            if self._steered is not self.optimizer:
                self._steered.step()  # it has no gradients; the schedule wants to come after a step
            self._scheduler.step()

    def schedule_state(self) -> list[dict[str, Any]]:
        return [] if self._scheduler is None else [self._scheduler.state_dict()]


class StackedOptimizer:
    """One optimizer for all jobs of a stack.

    Args:
        hparams: hyper-parameters of each job's `LitClassifier`.
        weights: of each job, views with gradients (see `StackedNetwork.views`).
        steps: of the whole training.
        steps_per_epoch: batches.
        fused: whether to use torch's fused kernels.
        device: of the weights.
        capture: whether `step` is to be captured, as far as these optimizers and schedules allow it.

    Attributes:
        captured: whether a capture may hold `step`: then nothing that changes from step to step is a Python number.
    """

    def __init__(
        self,
        hparams: Sequence[Mapping[str, Any]],
        weights: Sequence[Sequence[nn.Parameter]],
        steps: int,
        steps_per_epoch: int,
        *,
        fused: bool,
        device: torch.device,
        capture: bool,
    ):
        name, schedule = hparams[0]["optimizer"]["name"], hparams[0]["scheduler"]["name"]
        follows = "capturable" in OPTIMIZERS.parameters(name) and schedule in LEARNING_RATE_ONLY
        self.captured = capture and name in ELEMENTWISE and (follows or schedule == "none")
        self.weights = weights
        shared: dict[str, list[int]] = {}
        for job, given in enumerate(hparams):
            alone = [] if name in ELEMENTWISE else [job]
            key = json.dumps([given[part] for part in ("optimizer", "scheduler", "lr")] + alone, sort_keys=True)
            shared.setdefault(key, []).append(job)
        # The learning rates lie in one tensor, so that a step copies them at once.
        self._rates = torch.tensor([hparams[jobs[0]]["lr"] for jobs in shared.values()], device=device)
        self._shared: list[_Shared] = []
        self._of_job: dict[int, int] = {}
        for number, jobs in enumerate(shared.values()):
            rate = self._rates[number] if self.captured and follows else None
            own = [weights[job] for job in jobs]
            self._shared.append(_Shared(hparams[jobs[0]], own, steps, steps_per_epoch, fused, rate))
            self._of_job |= dict.fromkeys(jobs, number)
        self._changes = schedule != "none"

    def step(self) -> None:
        """Make a step with the gradients of all jobs."""
        for each in self._shared:
            each.optimizer.step()

    def next_rates(self) -> None:
        """Let the schedules follow a step."""
        if not self._changes:
            return
        for each in self._shared:
            each.step_schedule()
        if any(each.lr is not None for each in self._shared):
            self._rates.copy_(torch.tensor([each.rate for each in self._shared]))

    def rate(self, job: int) -> float:
        """Return the learning rate of a job's next step."""
        return self._shared[self._of_job[job]].rate

    def state(self, job: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the states of a job's optimizer and schedule, on the CPU, as its own ones would have them."""
        shared = self._shared[self._of_job[job]]
        numbers = {id(weight): number for number, weight in enumerate(self.weights[job])}
        groups = []
        for group in shared.optimizer.param_groups:
            own = [numbers[id(weight)] for weight in group["params"] if id(weight) in numbers]
            changed = {"lr": shared.rate, "params": own} | ({"capturable": False} if "capturable" in group else {})
            groups.append(group | changed)
        held = shared.optimizer.state
        state = {
            number: {name: _on_cpu(value) for name, value in held[weight].items()}
            for number, weight in enumerate(self.weights[job])
            if weight in held
        }
        return [{"state": state, "param_groups": groups}], shared.schedule_state()


def _on_cpu(value: Any) -> Any:
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value
