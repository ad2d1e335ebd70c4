import gymnasium as gym
import mujoco
import numpy as np
import pytest

from envs import rendering
from envs.camera import Camera, camera_of
from envs.drawing import SoftwareView
from envs.models import ARMS, compile_arm
from envs.opengl import CONTEXTS, OpenGLView
from envs.overlay import GHOST_ALPHA, GHOST_TINT, TINT_SHARE, blend_ghost, draw_trail

DRAWS = next((name for name in ("egl", "osmesa") if rendering.works(name)), None)
needs_gl = pytest.mark.skipif(DRAWS is None, reason="neither EGL nor OSMesa draws a frame here")


@pytest.fixture
def software(monkeypatch):
    monkeypatch.setenv("PHASEARM_RENDER", "software")


def arm(name, q=None):
    model = compile_arm(ARMS[name])
    data = mujoco.MjData(model)
    data.qpos[:] = 0.0 if q is None else q
    mujoco.mj_forward(model, data)
    return model, data


# Software pictures


@pytest.mark.parametrize("name", sorted(ARMS))
def test_software_draws_each_link_where_it_is_in_its_own_colour(name, software):
    model, data = arm(name)
    renderer = rendering.make_renderer(model, 320, 240)
    frame = renderer.render(data)
    assert renderer.backend == "software"
    assert frame.shape == (240, 320, 3)
    assert frame.dtype == np.uint8
    link = data.geom("link2").xpos
    (column, row), _ = camera_of(model, data, 0, 320, 240).project(link)
    seen = frame[int(row), int(column)].astype(float)
    wanted = model.mat_rgba[model.geom("link2").matid[0], :3]
    np.testing.assert_allclose(seen / seen.max(), wanted / wanted.max(), atol=0.12)


def test_a_kept_stage_changes_no_pixel(software):
    model, data = arm("scorbot")
    kept = rendering.make_renderer(model, 160, 120)
    kept.render(data)
    data.qpos[:] = (0.4, 0.3, -0.5, 0.2, 0.1)
    mujoco.mj_forward(model, data)
    fresh = rendering.make_renderer(model, 160, 120)
    np.testing.assert_array_equal(kept.render(data), fresh.render(data))


def test_only_the_arm_and_its_shadow_move(software):
    model, data = arm("planar", (0.5, 0.3))
    renderer = rendering.make_renderer(model, 160, 120)
    before = renderer.render(data).astype(int)
    data.qpos[:] = (0.6, 0.3)
    mujoco.mj_forward(model, data)
    moved = np.abs(renderer.render(data).astype(int) - before).max(axis=-1) > 2
    assert 0.003 < moved.mean() < 0.1
    assert not moved[:, :40].any()  # the arm points to the right; nothing reaches the left quarter


def test_the_payload_is_drawn_at_its_present_size(software):
    model, data = arm("planar")
    renderer = rendering.make_renderer(model, 160, 120)
    small = renderer.render(data).copy()
    model.geom("payload").size[0] = 0.15
    grown = np.abs(renderer.render(data).astype(int) - small).max(axis=-1) > 2
    focal = 120 / 2 / np.tan(np.deg2rad(45.0) / 2)
    disc = np.pi * (0.15 * focal / 3.45) ** 2  # camera 3.45 m away
    assert 0.6 * disc < grown.sum() < 2.0 * disc  # less what was arm already, more for its shadow


def test_coverage_is_the_share_of_a_disc():
    # A sphere of .5 m seen from 4 m with a lens of 120 / tan 30: its rim is at an angle asin(.5 / 4).
    text = """<mujoco><worldbody><camera name="view" pos="0 0 4" fovy="60"/>
    <body><freejoint/><geom size=".5"/></body></worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    _, coverage = SoftwareView(model, 240, 240).cutout(data)
    radius = 120.0 / np.tan(np.pi / 6) * np.tan(np.arcsin(0.5 / 4.0))
    assert coverage.sum() == pytest.approx(np.pi * radius**2, rel=0.01)


# Ghost and trail


def test_ghost_blends_by_its_coverage():
    # One fully covered window of colour 200 on a frame of 100; its middle is no rim:
    # 100 (1 - a) + a (200 (1 - s) + s tint).
    frame, coverage = np.full((9, 9, 3), 100, dtype=np.uint8), np.zeros((9, 9), dtype=np.float32)
    coverage[2:7, 2:7] = 1.0
    out = blend_ghost(frame, 200.0 * np.repeat(coverage[..., None], 3, axis=-1), coverage)
    wanted = 100 * (1 - GHOST_ALPHA) + GHOST_ALPHA * (200 * (1 - TINT_SHARE) + TINT_SHARE * np.array(GHOST_TINT))
    np.testing.assert_allclose(out[4, 4], wanted, atol=1.0)
    outside = coverage == 0.0
    np.testing.assert_array_equal(out[outside], frame[outside])


def test_ghost_shows_where_the_reference_is(software):
    model, data = arm("planar", (0.8, 0.4))
    renderer = rendering.make_renderer(model, 160, 120)
    plain, ghost_q = renderer.render(data).astype(int), (-0.6, 0.2)
    changed = np.abs(renderer.render(data, ghost_q=ghost_q).astype(int) - plain).max(axis=-1) > 6
    _, posed = arm("planar", ghost_q)
    for link in ("link1", "link2"):
        (column, row), _ = camera_of(model, posed, 0, 160, 120).project(posed.geom(link).xpos)
        assert changed[int(row), int(column)]
    np.testing.assert_array_equal(data.qpos, (0.8, 0.4))  # the arm itself was not touched


def test_trail_goes_through_its_points_and_fades():
    camera = Camera(np.zeros(3), np.eye(3), 100.0, 200, 100)
    points = np.linspace([-0.9, 0.0, -1.0], [0.9, 0.0, -1.0], 20)  # from column 10 to column 190, on row 50
    frame = draw_trail(np.full((100, 200, 3), 255, dtype=np.uint8), points, camera)
    red = frame[50, :, 0].astype(int)
    assert red[185] < red[100] < red[15] < 255  # newer is darker
    assert (frame[:40] == 255).all()
    assert (frame[60:] == 255).all()


# Choice of the backend


def test_forced_software_needs_no_probe(software, monkeypatch):
    monkeypatch.setattr(rendering, "works", lambda name: pytest.fail(f"probed {name}"))
    assert rendering.backend_name() == "software"


@pytest.mark.parametrize(
    ("users", "working", "chosen"),
    [
        ("", {"egl", "osmesa"}, "egl"),
        ("", {"osmesa"}, "osmesa"),
        ("", set(), "software"),
        ("osmesa", {"egl", "osmesa"}, "osmesa"),
        ("glfw", {"egl"}, "egl"),
        ("off", {"egl", "osmesa"}, "software"),
    ],
)
def test_the_users_choice_comes_first_then_what_works(users, working, chosen, monkeypatch):
    monkeypatch.delenv("PHASEARM_RENDER", raising=False)
    monkeypatch.setenv("MUJOCO_GL", users)
    monkeypatch.setattr(rendering, "works", working.__contains__)
    assert rendering.backend_name() == chosen


def test_wrong_choices_are_named(monkeypatch):
    monkeypatch.setenv("PHASEARM_RENDER", "crayon")
    with pytest.raises(ValueError, match=r"crayon.*egl.*osmesa.*software"):
        rendering.backend_name()
    monkeypatch.setenv("PHASEARM_RENDER", "osmesa")
    monkeypatch.setattr(rendering, "works", lambda name: False)
    with pytest.raises(ValueError, match=r"osmesa cannot draw.*software"):
        rendering.backend_name()


def test_wrong_sizes_cameras_and_ghosts_are_named(software):
    model, data = arm("planar")
    with pytest.raises(ValueError, match="321 x 240"):
        rendering.make_renderer(model, 321, 240)
    with pytest.raises(ValueError, match=r"'side'.*'view'"):
        rendering.make_renderer(model, camera="side")
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        rendering.make_renderer(model, 64, 48).render(data, ghost_q=np.zeros(3))


def test_a_probe_of_something_broken_says_no(monkeypatch):
    monkeypatch.setitem(CONTEXTS, "broken", "mujoco.no_such_backend")
    assert not rendering.works("broken")


# OpenGL, where it draws


@needs_gl
@pytest.mark.parametrize("name", sorted(ARMS))
def test_opengl_and_software_see_the_same_arm(name):
    model, data = arm(name, np.linspace(0.5, -0.4, ARMS[name].n_joints))
    view = OpenGLView(model, 320, 240, "view", DRAWS)
    colour, coverage = view.cutout(data)
    drawn, covered = SoftwareView(model, 320, 240).cutout(data)
    view.close()
    both, either = np.minimum(coverage, covered).sum(), np.maximum(coverage, covered).sum()
    assert both / either > 0.95
    inside = np.minimum(coverage, covered) > 0.99
    assert np.abs(colour[inside].mean(axis=0) - drawn[inside].mean(axis=0)).max() < 40.0


@needs_gl
def test_opengl_draws_any_size_again_and_again(monkeypatch):
    monkeypatch.setenv("PHASEARM_RENDER", DRAWS)
    model, data = arm("planar", (0.3, 0.2))
    sizes = model.vis.global_.offwidth, model.vis.quality.offsamples
    renderer = rendering.make_renderer(model, 1400, 100)  # wider than the model's own buffer of 1280
    first = renderer.render(data, ghost_q=(0.9, 0.1))
    assert renderer.backend == DRAWS
    assert first.shape == (100, 1400, 3)
    np.testing.assert_array_equal(renderer.render(data, ghost_q=(0.9, 0.1)), first)
    assert (model.vis.global_.offwidth, model.vis.quality.offsamples) == sizes
    renderer.close()
    renderer.close()


def test_the_environment_draws_its_reference(software):
    env = gym.make("envs:PhaseArm/PlanarTrack-v0", render_mode="rgb_array", width=160, height=120)
    env.reset(seed=0)
    frame = env.render()
    assert frame.shape == (120, 160, 3)
    for _ in range(30):
        env.step(np.ones(2))
    assert np.abs(env.render().astype(int) - frame).max() > 30
    env.close()
