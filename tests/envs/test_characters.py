"""Tasks of characters: what every draw obeys, and that no part knows another's characters."""

import numpy as np
import pytest

from envs.characters import Characters, load_characters
from envs.glyphs import draw_glyphs


def family(count=12, drawings=6):
    """Characters whose every pixel names the character, but for one that names the drawing."""
    images = np.zeros((count, drawings, 28, 28), np.uint8)
    images[...] = np.arange(count)[:, None, None, None]
    images[:, :, 0, 0] = np.arange(drawings)
    return Characters(images, "numbers")


def test_no_character_and_no_drawing_comes_twice_in_a_task():
    tasks = family().sample(200, ways=12, shots=2, queries=4, rng=np.random.default_rng(0))
    assert tasks.support.shape == (200, 12, 2, 28, 28)
    assert tasks.query.shape == (200, 12, 4, 28, 28)
    drawn = np.concatenate([tasks.support, tasks.query], axis=2)
    np.testing.assert_array_equal(np.sort(tasks.character, axis=1), np.tile(np.arange(12), (200, 1)))
    np.testing.assert_array_equal(np.sort(drawn[..., 0, 0], axis=2), np.tile(np.arange(6), (200, 12, 1)))
    np.testing.assert_array_equal(drawn[..., 5, 5], np.repeat(tasks.character[..., None], 6, axis=2))


def test_every_character_is_drawn_as_often_at_every_place():
    character = family().sample(6000, ways=3, shots=1, queries=1, rng=np.random.default_rng(1)).character
    counts = np.stack([np.bincount(character[:, place], minlength=12) for place in range(3)])
    # 6000 / 12 = 500 with a standard deviation of sqrt(6000 x 1/12 x 11/12) = 21.4; 4.5 of them for 36 counts
    assert np.abs(counts - 500).max() < 96


def test_quarter_turns_are_characters_of_their_own():
    turned = family(3, 2).rotated()
    assert len(turned) == 12
    one = Characters(np.arange(784, dtype=np.uint16).astype(np.uint8).reshape(1, 1, 28, 28), "one")
    back = one.rotated().images[:, 0]
    for quarter in range(4):
        np.testing.assert_array_equal(np.rot90(back[quarter], -quarter), one.images[0, 0])


def test_a_mirror_shown_twice_shows_the_family():
    glyphs = Characters(draw_glyphs(2, 2, np.random.default_rng(0)), "two")
    np.testing.assert_array_equal(glyphs.mirrored().mirrored().images, glyphs.images)
    assert (glyphs.mirrored().images != glyphs.images).any()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ways": 13}, "ways must be 2 to 12, the characters of numbers; got 13"),
        ({"ways": 1}, "got 1"),
        ({"shots": 0}, "shots must be 1 to 5, got 0"),
        ({"queries": 6}, "queries must be 1 to 5, got 6"),
        ({"shots": 3, "queries": 4}, "3 shots and 4 queries need more than the 6 drawings"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        family().sample(1, **{"ways": 2, "shots": 1, "queries": 1} | changes, rng=np.random.default_rng(0))


def test_drawings_of_one_character_are_nearer_than_those_of_two():
    images = draw_glyphs(40, 8, np.random.default_rng(3)).astype(float)
    mean = images.mean(1)
    within = ((images - mean[:, None]) ** 2).mean()
    between = ((mean[:, None] - mean[None]) ** 2).sum((2, 3)).mean() / 784
    assert within < between
    assert (images.max((2, 3)) > 200).all()  # every drawing has ink
    assert images.mean() < 80  # most of it is paper


def test_equal_seeds_draw_equal_characters():
    first, second = (draw_glyphs(3, 2, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_parts_of_drawn_glyphs_share_no_picture():
    parts = [load_characters("glyphs", part) for part in ("train", "validation", "test")]
    seen = [{picture.tobytes() for picture in part.images[:, 0]} for part in parts]
    assert [len(part) for part in parts] == [1024, 160, 400]
    assert len(set.union(*seen)) == 1584
    np.testing.assert_array_equal(parts[1].images, load_characters("glyphs", "validation").images)


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="no part 'dev'; choose from"):
        load_characters("glyphs", "dev")  # type: ignore[arg-type]
