"""Many jobs of a sweep trained at once in one process: their weights are stacked, and a step is one for all jobs.

`checking.require_stackable_jobs` says what can be trained so, and `run.run_stacked` trains it. Only
``hydra/launcher=stacked`` uses it.
"""
