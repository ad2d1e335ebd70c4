import mujoco
import numpy as np
import pytest

from envs.camera import Camera, camera_number, camera_of
from envs.drawing import _hull
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


@pytest.fixture
def zoo():
    model = mujoco.MjModel.from_xml_string(ZOO)
    data = mujoco.MjData(model)
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
