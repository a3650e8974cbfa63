"""The bare loop on a GPU with the whole step captured as a CUDA graph: PyTorch's least overhead for a step."""

from __future__ import annotations

import torch

from benchmarks.contenders.bare import load, loss_of, prepare
from benchmarks.turn import Missing, Turn


def main(turn: Turn, model: str, batch_size: int, root: str, fraction: float) -> None:
    """Train one epoch each turn, without the last batch if it is smaller; arguments as in `bare.main`."""
    if not torch.cuda.is_available():
        raise Missing("no CUDA device")
    network = prepare(model, tuned=True, device=torch.device("cuda")).train()
    images, labels = load(root, fraction, "cuda")
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True, capturable=True)
    chosen = torch.arange(batch_size, device="cuda")  # the graph reads it: each step fills it and replays

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(network(images[chosen]), labels[chosen]).backward()
        optimizer.step()

    side = torch.cuda.Stream()  # a capture needs a warm-up on another stream
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)  # so that gradients are allocated in the graph's memory
    with torch.cuda.graph(graph):
        step()

    batches = len(images) // batch_size
    while True:
        turn.wait()
        order = torch.randperm(len(images), device="cuda")[: batches * batch_size].view(batches, batch_size)
        for batch in order:
            chosen.copy_(batch)
            graph.replay()
        torch.cuda.synchronize()
        turn.report(batches * batch_size)
