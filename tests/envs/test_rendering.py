import gymnasium as gym
import mujoco
import numpy as np
import pytest

from envs import rendering
from envs.camera import Camera, camera_number, camera_of
from envs.drawing import SoftwareView, _hull
from envs.models import ARMS, compile_arm
from envs.opengl import CONTEXTS, OpenGLView
from envs.overlay import GHOST_ALPHA, GHOST_TINT, TINT_SHARE, blend_ghost, draw_trail
from envs.raycast import SHAPES, half_extents, outline_points

ZOO = """
<mujoco>
  <worldbody>
    <light directional="true" dir="0 0 -1"/>
    <camera name="view" pos="0 -3 1" xyaxes="1 0 0 0 .2 1" fovy="60"/>
    <geom type="plane" size="8 8 .1" rgba=".8 .8 .8 1"/>
    <body pos="-1 0 .9"><freejoint/><geom type="capsule" size=".15 .3" rgba="1 0 0 1" euler="20 40 0"/></body>
    <body pos="0 0 1.4"><freejoint/><geom type="cylinder" size=".2 .25" rgba="0 1 0 1" euler="60 20 0"/></body>
    <body pos="1 .2 .8"><freejoint/><geom type="box" size=".2 .3 .15" rgba="0 0 1 1" euler="15 25 35"/></body>
    <body pos=".2 -.3 .6"><freejoint/><geom type="sphere" size=".25" rgba="1 1 0 1"/></body>
    <body pos="-.6 .6 1.5"><freejoint/><geom type="ellipsoid" size=".4 .2 .1" rgba="1 0 1 1" euler="30 10 0"/></body>
  </worldbody>
</mujoco>
"""
DRAWS = next((name for name in ("egl", "osmesa") if rendering.works(name)), None)
needs_gl = pytest.mark.skipif(DRAWS is None, reason="neither EGL nor OSMesa draws a frame here")


@pytest.fixture
def software(monkeypatch):
    monkeypatch.setenv("PHASEARM_RENDER", "software")


@pytest.fixture
def zoo():
    model = mujoco.MjModel.from_xml_string(ZOO)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def arm(name, q=None):
    model = compile_arm(ARMS[name])
    data = mujoco.MjData(model)
    data.qpos[:] = 0.0 if q is None else q
    mujoco.mj_forward(model, data)
    return model, data


# Camera


def test_camera_by_hand():
    # Looking along -z from the origin with a lens of 240 px: a point 1 m right and .5 m up at a depth of 2 m falls
    # 240 * 1 / 2 = 120 px right of and 240 * .5 / 2 = 60 px above the centre (320, 240).
    camera = Camera(np.zeros(3), np.eye(3), 240.0, 640, 480)
    pixels, depth = camera.project(np.array([1.0, 0.5, -2.0]))
    np.testing.assert_allclose(pixels, [440.0, 180.0])
    assert depth == pytest.approx(2.0)


def test_rays_go_through_the_points_that_fall_on_them(zoo):
    camera = camera_of(*zoo, camera_number(zoo[0], "view"), 64, 48)
    pixels, depth = camera.project(camera.position_m + 1.7 * camera.rays())
    columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    np.testing.assert_allclose(pixels, np.stack([columns, rows], axis=-1), atol=1e-4)
    np.testing.assert_allclose(depth, 1.7, rtol=1e-6)


# Rays


def nearest(model, data, rays, start):
    """Return the distance to, number of and normal of the first shape on each ray."""
    found = []
    for geom in range(model.ngeom):
        turn = data.geom_xmat[geom].reshape(3, 3)
        t, normal = SHAPES[int(model.geom_type[geom])](
            (start - data.geom_xpos[geom]) @ turn, rays @ turn, model.geom_size[geom]
        )
        found.append((t, normal @ turn.T))
    t = np.stack([each[0] for each in found])
    first = t.argmin(axis=0)
    normal = np.stack([each[1] for each in found])[first, np.arange(len(rays))]
    return t.min(axis=0), np.where(np.isfinite(t.min(axis=0)), first, -1), normal


def test_rays_meet_what_mujoco_says_they_meet(zoo):
    model, data = zoo
    camera = camera_of(model, data, 0, 96, 72)
    rays = camera.rays().reshape(-1, 3).astype(np.float64)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    t, geom, normal = nearest(model, data, rays, camera.position_m)
    seen, slope = np.zeros((1, 1), dtype=np.int32), np.zeros((3, 1))
    wanted = []
    for ray in rays:
        distance = mujoco.mj_ray(model, data, camera.position_m, ray, None, 1, -1, seen, slope)
        wanted.append((distance, seen.item(), *slope.ravel()))
    wanted = np.array(wanted)
    hit = wanted[:, 1] >= 0
    np.testing.assert_array_equal(geom, wanted[:, 1])
    assert set(geom) == {-1, *range(model.ngeom)}  # every shape and the sky were met
    np.testing.assert_allclose(t[hit], wanted[hit, 0], rtol=1e-9)
    unit = normal[hit] / np.linalg.norm(normal[hit], axis=1, keepdims=True)
    np.testing.assert_allclose(unit, wanted[hit, 2:], atol=1e-7)


@pytest.mark.parametrize("kind", ["SPHERE", "ELLIPSOID", "CAPSULE", "CYLINDER", "BOX"])
def test_outlines_belong_to_the_shape_and_reach_its_sides(kind):
    number, size = int(getattr(mujoco.mjtGeom, f"mjGEOM_{kind}")), np.array([0.3, 0.5, 0.2])
    points = outline_points(number, size)
    for point in points:  # just inside an outline point is inside the shape: no ray gets there without entering
        start = 3.0 * point / np.linalg.norm(point) + [0.3, -0.2, 0.1]
        t, _ = SHAPES[number](start, (0.999 * point - start)[None], size)
        assert t[0] <= 1.0
    np.testing.assert_allclose(np.abs(points).max(axis=0), half_extents(number, size), rtol=1e-6)


@pytest.mark.parametrize(("kind", "top"), [("CAPSULE", 0.8), ("CYLINDER", 0.5), ("BOX", 0.2)])
def test_a_ray_down_the_axis_meets_the_top(kind, top):
    # Size (.3, .5, .2): the capsule ends at .5 + .3, the cylinder at .5, the box at .2; seen from 3 m above.
    number, start = int(getattr(mujoco.mjtGeom, f"mjGEOM_{kind}")), np.array([0.0, 0.0, 3.0])
    t, normal = SHAPES[number](start, np.array([[0.0, 0.0, -1.0]]), np.array([0.3, 0.5, 0.2]))
    assert t[0] == pytest.approx(3.0 - top)
    np.testing.assert_allclose(normal[0] / np.linalg.norm(normal[0]), [0.0, 0.0, 1.0], atol=1e-12)


def test_hull_of_a_square_with_points_inside_is_the_square():
    inside = np.random.default_rng(0).uniform(0.1, 0.9, (20, 2))
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    hull = _hull(np.concatenate([inside, corners]))
    assert {tuple(point) for point in hull} == {tuple(point) for point in corners}


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
