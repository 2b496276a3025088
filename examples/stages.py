"""A chain of stages with three parallel edges each: 3 paths per stage, so 3^n in all.

chainrule explain --file examples/stages.py:stages x=1 n=2
chainrule explain --file examples/stages.py:stages x=1 n=1000
"""


def stages(x, n: int = 1000):
    """Return x after n stages; the three factors add up to 1.01."""
    for _ in range(n):
        a = 0.9 * x
        b = 0.06 * x
        c = 0.05 * x
        x = a + b + c
    return x
