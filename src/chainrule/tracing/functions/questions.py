"""What needs no graph: shapes, dtypes, text."""

from __future__ import annotations

import numpy as np

from chainrule.tracing.array import TracedArray
from chainrule.tracing.functions.common import implements

implements(np.shape)(lambda a: a.shape)
implements(np.ndim)(lambda a: a.ndim)
implements(np.size)(lambda a, axis=None: a.size if axis is None else a.shape[axis])
implements(np.iscomplexobj)(lambda x: x.dtype.kind == "c")
implements(np.isrealobj)(lambda x: x.dtype.kind != "c")
implements(np.result_type)(
    lambda *args: np.result_type(*(arg.dtype if isinstance(arg, TracedArray) else arg for arg in args))
)
implements(np.can_cast)(
    lambda from_, to, casting="safe": np.can_cast(from_.dtype if isinstance(from_, TracedArray) else from_, to, casting)
)
implements(np.common_type)(
    lambda *arrays: np.common_type(*(np.empty(0, a.dtype) if isinstance(a, TracedArray) else a for a in arrays))
)
implements(np.min_scalar_type)(lambda a: np.min_scalar_type(a._look()))
implements(np.diag_indices_from)(lambda arr: np.diag_indices_from(np.broadcast_to(0, arr.shape)))
implements(np.tril_indices_from)(lambda arr, k=0: np.tril_indices_from(np.broadcast_to(0, arr.shape), k))
implements(np.triu_indices_from)(lambda arr, k=0: np.triu_indices_from(np.broadcast_to(0, arr.shape), k))
implements(np.array_repr)(lambda arr, *args, **kwargs: np.array_repr(arr.value, *args, **kwargs))
implements(np.array_str)(lambda a, *args, **kwargs: np.array_str(np.asarray(a.value), *args, **kwargs))
implements(np.array2string)(lambda a, *args, **kwargs: np.array2string(np.asarray(a.value), *args, **kwargs))
implements(np.shares_memory, np.may_share_memory)(lambda a, b, max_work=None: False)
