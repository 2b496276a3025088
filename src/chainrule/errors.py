"""Every exception that chainrule raises on purpose.

```
ChainruleError
├── ShapeError(ValueError)               shapes that do not fit together
│   └── AxisError(AxisError of NumPy)    an axis that the array does not have
├── LinAlgError(LinAlgError of NumPy)    a matrix that cannot be inverted or factorized
├── IndexingError(IndexError)            an index that does not fit the array
├── DtypeError(TypeError)                an integer or complex number where a real one is needed
├── NotDifferentiableError(TypeError)    a derivative is asked of something that has none
├── DetachError(TypeError)               a traced value is about to leave the graph silently
├── UnsupportedError(TypeError)          a NumPy function or option without a rule
│   └── UnsupportedAttributeError(AttributeError)  an attribute that traced arrays do not have
├── GraphError(ValueError)               a question about a graph that does not fit it
├── ExpressionError(ValueError)          an expression or option of the command line
├── CheckError(AssertionError)           `check_derivatives` found a disagreement
├── MissingDependencyError(ImportError)  an optional package is not installed
├── WeightsError(ValueError)             a weights file that is missing, foreign or damaged
└── OutputError(OSError)                 a place that cannot be written
```

A message starts with what was wrong, and names the user's own `file.py:line` where there is one.
"""

import numpy as np


class ChainruleError(Exception):
    """Base class of every error raised by chainrule."""


class ShapeError(ChainruleError, ValueError):
    """Shapes do not fit together; the message holds all of them."""


class AxisError(ShapeError, np.exceptions.AxisError):
    """An axis that the array does not have."""


class LinAlgError(ChainruleError, np.linalg.LinAlgError):
    """A matrix that cannot be inverted or factorized."""


class IndexingError(ChainruleError, IndexError):
    """An index that does not fit the array, or is none."""


class DtypeError(ChainruleError, TypeError):
    """A number of the wrong kind, such as an integer array where a derivative is asked."""


class NotDifferentiableError(ChainruleError, TypeError):
    """A derivative is asked of an operation or a result that has none."""


class DetachError(ChainruleError, TypeError):
    """A traced value would become an ordinary number and lose its derivative."""


class UnsupportedError(ChainruleError, TypeError):
    """A NumPy function, or an option of it, for which there is no rule."""


class UnsupportedAttributeError(UnsupportedError, AttributeError):
    """An attribute or method that traced arrays do not have."""


class GraphError(ChainruleError, ValueError):
    """A node, path or file that a graph does not have or cannot read."""


class ExpressionError(ChainruleError, ValueError):
    """An expression, variable or option that cannot be understood."""


class CheckError(ChainruleError, AssertionError):
    """Derivatives that should agree do not; the message holds the numbers."""


class MissingDependencyError(ChainruleError, ImportError):
    """An optional package is needed; the message holds the command that installs it."""


class WeightsError(ChainruleError, ValueError):
    """A weights file is missing, damaged, or belongs to another network."""


class OutputError(ChainruleError, OSError):
    """A file or folder cannot be written."""
