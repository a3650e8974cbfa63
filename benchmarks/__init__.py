"""Side by side with every peer, in interleaved rounds: ``python -m benchmarks [PART ...] [--quick]``.

Each contender is a process of its own (`benchmarks.worker`) that trains one epoch when it is told to, and then waits.
One process works at a time, and the rounds go from contender to contender, so that whatever else the machine does hits
all alike. What counts are ratios within a round: their median, least and greatest over the rounds. Seconds of one run
say little about another.

    python -m benchmarks                                  everything, about two and a half hours on two cores
    python -m benchmarks throughput levers                parts by name
    python -m benchmarks --quick --data mnist5k           does it run at all? minutes; its figures mean nothing
    python -m benchmarks --render                         results.md and figures anew, from results.json alone

A part that is measured again replaces its own results and no others. Keras runs in an environment of its own, for
TensorFlow beside TensorBoard changes how long this library takes to start:

    python -m venv keras && keras/bin/pip install tensorflow
    python -m benchmarks throughput --keras-python keras/bin/python

Where things are: `benchmarks.contenders` holds what is compared, each written as its users would write it;
`benchmarks.parts` one module a part, which measures and renders; ``results.json`` every round of every contender.
"""
