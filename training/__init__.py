"""Record, learn and measure: sim -> dataset -> weights -> metrics.

Torch is imported only by the modules that need it; a build with nothing to train never does.
"""
