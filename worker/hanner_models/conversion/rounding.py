"""Round weights to INT8. No I/O.

Rounding each weight to the nearest value is not the best for the product with real activations: errors of channels that
vary together add up. With the Gram matrix of the activations, the rounding error of each channel is compensated by the
channels that are not rounded yet. This is GPTQ (Frantar et al. 2023), with the method of Hassibi and Stork (1993).
"""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 128
"""Channels after which the compensation is applied to all later channels at once."""
_DAMPING = 0.01
"""Added to the diagonal of the Gram matrix, as a share of its mean: it limits the compensation of rare channels."""
_SMALLEST = 1e-12


def round_columns(
    weight: NDArray[np.float32], limit: int, gram: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise a weight with one symmetric scale per column.

    Args:
        weight: float32 [in, out].
        limit: largest quantised weight.
        gram: float32 [in, in], sum of the products of the input channels over real activations; without it, each
            weight is rounded to the nearest value.

    Returns:
        int8 values [in, out] and float32 scales [out].
    """
    scales = np.maximum(np.abs(weight).max(axis=0), _SMALLEST) / limit
    rounded = np.rint(weight / scales) if gram is None else _compensated(weight, scales, limit, gram)
    return np.clip(rounded, -limit, limit).astype(np.int8), scales.astype(np.float32)


def _compensated(
    weight: NDArray[np.float32], scales: NDArray[np.float32], limit: int, gram: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return rounded weights whose product with the activations is as close as possible to the exact one."""
    damped = gram.astype(np.float64)
    damped += np.eye(len(gram)) * max(_DAMPING * float(np.diag(damped).mean()), _SMALLEST)
    order = np.argsort(-np.diag(damped), kind="stable")  # channels with large activations first
    factor = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left = (weight / scales).astype(np.float64)[order]
    rounded = np.empty_like(left)
    for start in range(0, len(left), _BLOCK):
        end = min(start + _BLOCK, len(left))
        errors = np.empty((end - start, left.shape[1]))
        for row in range(start, end):
            rounded[row] = np.clip(np.rint(left[row]), -limit, limit)
            errors[row - start] = (left[row] - rounded[row]) / factor[row, row]
            left[row + 1 : end] -= np.outer(factor[row, row + 1 : end], errors[row - start])
        left[end:] -= factor[start:end, end:].T @ errors
    result = np.empty_like(rounded)
    result[order] = rounded
    return result
