"""Pack scikit-learn's copy of the UCI handwritten digits into the file that fastvae bundles.

Run with scikit-learn installed: ``python tools/make_digits.py fastvae/train/data/assets/digits.npz``. The result
depends on the data alone, so a second run gives the same bytes (with the same numpy and zlib).
"""

import sys

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
np.savez_compressed(sys.argv[1], images=digits.images.astype(np.uint8), labels=digits.target.astype(np.uint8))
