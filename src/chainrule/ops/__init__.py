"""Every op, one declaration each. Importing this package fills `chainrule.ir.REGISTRY`."""

from chainrule.ops import contraction, control, host, linalg, pointwise, polynomial, reduction, structural

__all__ = ["contraction", "control", "host", "linalg", "pointwise", "polynomial", "reduction", "structural"]
