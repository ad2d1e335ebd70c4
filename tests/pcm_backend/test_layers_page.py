"""The snippets of docs/layers.md run, one after another."""

import re

from tests.helpers import ROOT


def test_every_snippet_runs():
    page = (ROOT / "docs" / "layers.md").read_text()
    names: dict[str, object] = {}
    snippets = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(snippets) == 4
    for snippet in snippets:
        exec(compile(snippet, "docs/layers.md", "exec"), names)
