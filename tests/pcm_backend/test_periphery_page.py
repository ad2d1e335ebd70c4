"""The snippet of docs/periphery.md runs."""

import re

from tests.helpers import ROOT


def test_the_snippet_runs():
    page = (ROOT / "docs" / "periphery.md").read_text()
    (snippet,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(compile(snippet, "docs/periphery.md", "exec"), {})
