"""The stubs in typings/ name nothing that the installed library does not have."""

import ast
from pathlib import Path

import mujoco
import mujoco.batch
import mujoco.rollout
import pytest

STUBS = Path(__file__).parent.parent / "typings" / "mujoco"
MODEL = mujoco.MjModel.from_xml_string("<mujoco><worldbody><camera name='view'/></worldbody></mujoco>")
OBJECTS = {"MjModel": MODEL, "MjData": mujoco.MjData(MODEL), "MjOption": MODEL.opt, "MjVisual": MODEL.vis}
OBJECTS |= {"MjSpec": mujoco.MjSpec(), "MjvCamera": mujoco.MjvCamera(), "MjvScene": mujoco.MjvScene()}


def members(node):
    """Return the names that a class of a stub gives its objects."""
    for each in node.body:
        if isinstance(each, ast.AnnAssign):
            yield each.target.id
        elif isinstance(each, ast.Assign):
            yield each.targets[0].id
        elif isinstance(each, ast.FunctionDef):
            yield each.name


@pytest.mark.parametrize(
    ("stub", "module"),
    [("__init__", mujoco), ("batch", mujoco.batch), ("rollout", mujoco.rollout)],
    ids=["mujoco", "batch", "rollout"],
)
def test_every_name_is_the_librarys(stub, module):
    for node in ast.parse((STUBS / f"{stub}.pyi").read_text()).body:
        if isinstance(node, ast.FunctionDef):
            assert callable(getattr(module, node.name))
        elif isinstance(node, ast.ClassDef):
            owner = OBJECTS.get(node.name, getattr(module, node.name))
            assert not [name for name in members(node) if not hasattr(owner, name)], node.name
