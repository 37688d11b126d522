"""Record, learn and measure: sim -> dataset -> weights -> metrics.

Only the modules that need torch import it; a build with nothing to train never does.
"""

from __future__ import annotations

import os

# Read when torch is imported. Its threads wait for each other in a loop, by default so long that
# beside one other busy process an evaluation took 33 s, and takes 20; alone it takes 10 either way.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
