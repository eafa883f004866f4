"""How fast recipes train: the engine beside ordinary loops over the same images, batches and steps.

__main__    the arms in turns, each in a process of its own, and `results/<environment>/training.json`
process     one arm, once
workload    what every arm trains, and how its time is taken
arms        the loops
printed     the networks as reports print them, for the loops of others
"""
