"""One measurement in a process of its own: ``python -m benchmarks.worker KIND CASE LIBRARIES ROUNDS SECONDS``.

The last line of its output is the result as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings

from benchmarks import measure
from benchmarks.cases import CASES


def main(kind: str, name: str, libraries: str, rounds: str, total: str) -> None:
    """Measure, and print what was found."""
    warnings.simplefilter("ignore")  # what libraries say of their arguments is not part of the result
    (case,) = [each for each in CASES if each.name == name]
    names = libraries.split(",")
    if kind == "compare":
        found = measure.compare(case, names, rounds=int(rounds), total=float(total))
    elif kind == "first":
        found = measure.first_call(case, names[0])
    else:
        found = measure.peak_memory(case, names[0])
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
