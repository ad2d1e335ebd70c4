import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from envs.video import write_mp4

COLOURS = [(200, 40, 40), (40, 180, 60), (50, 60, 200)]


def plain_frames(n, height=48, width=64):
    for number in range(n):
        yield np.full((height, width, 3), COLOURS[number * 3 // n], dtype=np.uint8)


def test_a_video_decodes_to_the_frames_that_went_in(tmp_path):
    path = write_mp4(tmp_path / "deep" / "clip.mp4", plain_frames(30), fps=25, comment="drawn by software")
    stream = imageio_ffmpeg.read_frames(str(path))
    meta = next(stream)
    frames = [np.frombuffer(frame, dtype=np.uint8).reshape(48, 64, 3) for frame in stream]
    assert meta["size"] == (64, 48)
    assert meta["fps"] == 25
    assert "yuv420p" in meta["pix_fmt"]
    assert len(frames) == 30
    for number, colour in ((2, COLOURS[0]), (15, COLOURS[1]), (28, COLOURS[2])):
        np.testing.assert_allclose(frames[number].mean(axis=(0, 1)), colour, atol=12)  # rgb to yuv and back


def test_a_sharp_edge_stays_where_it_is(tmp_path):
    frame = np.zeros((50, 70, 3), dtype=np.uint8)  # no multiple of 16: nothing may be rescaled
    frame[:, 30:] = 255
    path = write_mp4(tmp_path / "edge.mp4", [frame] * 5, fps=10)
    stream = imageio_ffmpeg.read_frames(str(path))
    assert next(stream)["size"] == (70, 50)
    seen = np.frombuffer(next(stream), dtype=np.uint8).reshape(50, 70, 3)
    assert seen[25, 27].max() < 40
    assert seen[25, 33].min() > 215


def test_the_index_stands_in_front_and_the_comment_is_kept(tmp_path):
    path = write_mp4(tmp_path / "clip.mp4", plain_frames(6), fps=25, comment="drawn by egl")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    probe = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)]
    assert "drawn by egl" in subprocess.run(probe, capture_output=True, text=True, check=False).stderr


def test_a_failure_leaves_the_old_video_and_nothing_else(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")

    def failing():
        yield from plain_frames(3)
        raise RuntimeError("the arm fell off")

    with pytest.raises(RuntimeError, match="fell off"):
        write_mp4(path, failing(), fps=25)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_wrong_frames_are_named(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        write_mp4(tmp_path / "a.mp4", [], fps=25)
    with pytest.raises(ValueError, match=r"\(47, 64, 3\)"):
        write_mp4(tmp_path / "a.mp4", plain_frames(3, height=47), fps=25)
    with pytest.raises(ValueError, match=r"\(32, 64, 3\) among frames of \(48, 64, 3\)"):
        write_mp4(tmp_path / "a.mp4", [*plain_frames(1), *plain_frames(1, height=32)], fps=25)
    assert not list(tmp_path.iterdir())
