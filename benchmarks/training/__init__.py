"""How fast recipes train: the engine beside ordinary loops over the same images, batches and steps.

__main__    the runners in turns, each in a process of its own, and `results/<environment>/training.json`
process     one runner, once
workload    what every runner trains, and how its time is taken
runners        the loops
printed     the networks as reports print them, for the loops of others
"""
