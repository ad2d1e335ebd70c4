"""The map of the room on docs/chip.md is complete and true."""

import re

from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "chip.md").read_text()


def test_every_file_is_on_the_map_and_none_that_is_not_there():
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    there = {path.name for path in (ROOT / "pcm_backend").glob("*.py")} - {"__init__.py"}
    named = re.findall(r"`(\w+\.py)`", rows)
    assert sorted(named) == sorted(there)


def test_links_lead_somewhere():
    assert all((ROOT / "docs" / link).exists() for link in re.findall(r"\]\(([^)]+)\)", PAGE))
