"""Seeded fuzz: random command lines and damaged files, judged by one oracle.

    python -m pytest tests/fuzz -m slow                         all cases
    python -m pytest tests/fuzz -m slow -k line-0-17            one case again: its id is in the failure
    FUZZ_SEED=5 FUZZ_COUNT=1000 python -m pytest tests/fuzz -m slow

`lines` writes command lines and `damage` damages files of a `world` made by real commands. `commands` runs a command in
this process or in one of its own, `watch` notes what it wrote and started, and `oracle` names what is wrong.
"""
