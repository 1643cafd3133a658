"""scikit-learn's isolation forest over a block of rows, one core.

    forest.py ROWS.f32 COUNT WIDTH

Reads COUNT rows of WIDTH little-endian 32-bit floats, grows 100 trees on 256 rows each, scores all rows as one block,
and prints the seconds that scoring took and each row's score.
"""

import json
import sys
import time

import numpy
from sklearn.ensemble import IsolationForest

path, count, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rows = numpy.fromfile(path, dtype="<f4").reshape(count, width)
forest = IsolationForest(n_estimators=100, max_samples=256, random_state=1, n_jobs=1).fit(rows)
forest.score_samples(rows)
started = time.process_time()
scores = forest.score_samples(rows)
print(json.dumps({"seconds": time.process_time() - started, "scores": (-scores).tolist()}))
