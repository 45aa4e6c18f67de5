"""Arithmetic on images that several extractors share."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)  # one worker process a core; threads of their own would only fight over it


def box_sums(
    image: NDArray[np.floating] | NDArray[np.uint8], box_xyxy: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum an image over boxes by its integral image.

    Args:
        image: (H, W) or (H, W, C).
        box_xyxy: (n, 4) integers inside the image, half-open.

    Returns:
        (n, C), with C = 1 for an (H, W) image.
    """
    return integral_sums(cv2.integral(image, sdepth=cv2.CV_64F), box_xyxy)


def integral_sums(integral: NDArray[np.float64], box_xyxy: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums over boxes (n, 4) of whole pixels by an integral image (H + 1, W + 1[, C]): (n, C)."""
    integral = integral.reshape(*integral.shape[:2], -1)
    x1, y1, x2, y2 = box_xyxy.T
    sums: NDArray[np.float64] = integral[y2, x2] - integral[y1, x2] - integral[y2, x1] + integral[y1, x1]
    return sums


def to_pixels(box_xyxy: NDArray[np.floating], width: int, height: int) -> NDArray[np.int64]:
    """Round boxes to whole pixels and clip them to an image; each keeps at least a pixel inside."""
    pixels = np.round(box_xyxy).astype(np.int64)
    start, stop = pixels[:, :2], pixels[:, 2:]
    size = np.array([width, height])  # of some dozen boxes, `np.clip` takes several times as long
    np.minimum(np.maximum(start, 0, out=start), size - 1, out=start)
    np.minimum(np.maximum(stop, start + 1, out=stop), size, out=stop)
    return pixels


def box_means(
    image: NDArray[np.floating] | NDArray[np.uint8], box_xyxy: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Average an image, (H, W) or (H, W, C), over boxes (n, 4) of whole pixels inside it: (n, C)."""
    area = (box_xyxy[:, 2] - box_xyxy[:, 0]) * (box_xyxy[:, 3] - box_xyxy[:, 1])
    return (box_sums(image, box_xyxy) / area[:, None]).astype(np.float32)


def median(values: NDArray[np.number]) -> float:
    """Return the median of finite values, at least one, of any shape."""
    flat = values.ravel()  # `np.median` looks for NaN for longer than it takes to find the median
    middle = flat.size // 2
    ordered = np.partition(flat, middle)
    if flat.size % 2:
        return float(ordered[middle])
    return (float(ordered[:middle].max()) + float(ordered[middle])) / 2


def blur(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (H, W) without the noise of single pixels."""
    blurred: NDArray[np.uint8] = cv2.GaussianBlur(grey, (3, 3), 0)
    return blurred
