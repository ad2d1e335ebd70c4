"""Videos that every browser plays: H.264 in an mp4 whose index stands in front."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

QUALITY = 6  # of 10; imageio_ffmpeg makes of it x264's crf 20, where 23 is the default and 0 lossless


def write_mp4(path: str | Path, frames: Iterable[NDArray[Any]], fps: int, comment: str = "") -> Path:
    """Write a video, whole or not at all; return its path.

    Args:
        path: The file; its folder is made where it is missing.
        frames: Frames (H, W, 3) uint8, all of one even size; drawn one at a time.
        fps: Frames per second.
        comment: Kept in the file's metadata; the scripts name the drawing backend there.

    Raises:
        ValueError: No frames, or frames of an odd or a changing size.
    """
    path, rest = Path(path), iter(frames)
    first = next(rest, None)
    if first is None:
        raise ValueError(f"no frames for {path}; a video needs at least one")
    shape = np.shape(first)
    if len(shape) != 3 or shape[2] != 3 or shape[0] % 2 or shape[1] % 2:
        raise ValueError(f"frames of shape {shape}; a video needs (H, W, 3) with even H and W")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".mp4")
    os.close(handle)
    try:
        _encode(name, chain([first], rest), shape, fps, comment)
        os.chmod(name, 0o644)  # mkstemp's files are for the owner alone
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def _encode(name: str, frames: Iterable[NDArray[Any]], shape: tuple[int, ...], fps: int, comment: str) -> None:
    options = ["-preset", "medium", "-movflags", "+faststart", "-metadata", f"comment={comment}"]
    writer = imageio_ffmpeg.write_frames(
        name, (shape[1], shape[0]), fps=fps, codec="libx264", pix_fmt_out="yuv420p", quality=QUALITY,
        macro_block_size=2, ffmpeg_log_level="error", output_params=options,
    )  # fmt: skip
    writer.send(None)
    try:
        for frame in frames:
            if np.shape(frame) != shape:
                raise ValueError(f"a frame of shape {np.shape(frame)} among frames of {shape}; all must be alike")
            writer.send(np.ascontiguousarray(frame, dtype=np.uint8))
    finally:
        writer.close()
