"""Rows: what a run gathers batch by batch without keeping the batches."""

import weakref

import pytest
import torch

from mnist_zoo import LitClassifier
from mnist_zoo.rows import Rows
from mnist_zoo.training.run import run


def test_rows_come_back_in_order_and_can_be_forgotten():
    rows = Rows()
    for first in range(0, 30, 3):
        rows.append(torch.arange(first, first + 3))
    assert len(rows) == 30 and rows.tensor().tolist() == list(range(30))
    rows.clear()
    assert not rows
    rows.append(torch.ones(2, 4, dtype=torch.bfloat16))
    assert rows.tensor().tolist() == [[1.0] * 4] * 2 and rows.tensor().dtype == torch.bfloat16


def test_memory_taken_in_inference_mode_serves_outside_of_it():
    rows = Rows()
    with torch.inference_mode():
        rows.append(torch.ones(4))
    rows.clear()
    rows.append(torch.zeros(3))  # a validation before the training, say
    assert rows.tensor().tolist() == [0.0] * 3


def test_no_rows_are_an_error():
    with pytest.raises(ValueError, match="no rows were appended"):
        Rows().tensor()


@pytest.mark.parametrize("step", ["training_step", "validation_step", "test_step"])
def test_a_step_lets_go_of_its_outputs(step):
    model, outputs = LitClassifier("mlp_128"), []
    model.model.register_forward_hook(lambda module, inputs, output: outputs.append(weakref.ref(output)))
    getattr(model, step)((torch.rand(8, 1, 28, 28), torch.arange(8)), 0)
    assert [output() for output in outputs] == [None]


def test_the_evaluation_lets_go_of_its_outputs(stripes_config, tmp_path, monkeypatch):
    outputs, alive, predict_step = [], [], LitClassifier.predict_step

    def watched(self, *arguments):
        alive.append(sum(output() is not None for output in outputs))
        output = predict_step(self, *arguments)
        outputs.append(weakref.ref(output))
        return output

    monkeypatch.setattr(LitClassifier, "predict_step", watched)
    monkeypatch.setattr("mnist_zoo.data.datamodule.EVAL_BATCH_SIZE", 10)
    run(stripes_config("epochs=1"), tmp_path / "run")
    assert len(alive) > 10 and max(alive) <= 1, "at most the batch before"
