"""The rooms are those of this repository: `envs`, `agents` and `launch` are names that others use too."""

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("envs", "agents", "pcm_backend", "launch")


def where(room):
    """Return the folder that Python takes a room from."""
    spec = importlib.util.find_spec(room)
    assert spec is not None, f"{room} is not found; run pytest from {ROOT}"
    places = list(spec.submodule_search_locations or [spec.origin])
    return Path(str(places[0])).resolve()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_imported_from_here(room):
    found = where(room)
    assert found == ROOT / room, f"{found} shadows {ROOT / room}: uninstall what owns it, or run from {ROOT}"
    assert importlib.import_module(room) is sys.modules[room]


def test_a_shadow_would_be_named(tmp_path, monkeypatch):
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "launch", raising=False)
    assert where("launch") == tmp_path / "launch"


def modules():
    """Return the names of every module of every room."""
    found = []
    for room in ROOMS:
        walked = pkgutil.walk_packages([str(ROOT / room)], f"{room}.")
        found += [room, *(module.name for module in walked)]
    return found


@pytest.mark.parametrize("name", modules())
def test_every_module_can_be_imported(name):
    module = importlib.import_module(name)
    found = module.__file__ or next(iter(module.__path__))  # launch has no __init__.py: it is a folder
    assert Path(found).resolve().is_relative_to(ROOT)


def test_launch_is_no_package_to_install():
    assert not (ROOT / "launch" / "__init__.py").exists()
