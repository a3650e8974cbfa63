"""Speed beside other libraries, measured in interleaved rounds: ``python -m benchmarks [PART ...] [--quick]``.

Each contender is a separate process (`benchmarks.worker`). It trains one epoch when it is told to, and then waits. Only
one process works at a time, and each round goes from contender to contender, so that other load on the machine affects
all of them equally. The results are ratios within a round: median, least and greatest over the rounds. The seconds of
a single run are hardly comparable with those of another run.

    python -m benchmarks                                  all parts, about two and a half hours on two cores
    python -m benchmarks throughput levers                selected parts
    python -m benchmarks levers --only cnn                selected networks of a part, written to outputs/benchmarks
    python -m benchmarks versions --against DIR           this checkout beside another checkout of the library
    python -m benchmarks --quick --data mnist5k           checks that everything runs; takes minutes, measures nothing
    python -m benchmarks gpu --only correct,cnn --out DIR parts of the measurement of a GPU; earlier records in DIR stay
    python -m benchmarks gpu --device cpu --quick         a trial of it without a GPU
    python -m benchmarks --render                         rewrites results.md and the plots from results.json

A part that is measured again replaces its own results only. Keras should run in its own environment, because
TensorFlow installed beside TensorBoard changes how long this library takes to start:

    python -m venv keras && keras/bin/pip install tensorflow
    python -m benchmarks throughput --keras-python keras/bin/python

`benchmarks.contenders` holds what is compared, each contender written as its users would write it. `benchmarks.parts`
holds one module for each part, which measures and renders. ``results.json`` holds every round of every contender.
"""
