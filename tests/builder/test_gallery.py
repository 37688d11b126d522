"""A gallery leads to the page of each world; what it cannot show is one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from building import copy_of, run

from sims.errors import UserError

GOOD = "catcher:\n  page: notes/catcher.md\n  says: Apples <fall>.\n"


def with_fence(starter_site: Path, folder: Path, fence: str) -> Path:
    project = copy_of(starter_site, folder)
    (project / "docs" / "notes").mkdir()
    (project / "docs" / "notes" / "catcher.md").write_text("# Notes\n")
    (project / "docs" / "all.md").write_text(f"# All\n\n```world-gallery\n{fence}```\n")
    return project


def test_a_card_shows_its_world_and_leads_to_its_page(starter_site: Path, tmp_path: Path) -> None:
    project = with_fence(starter_site, tmp_path / "project", GOOD)
    run(project, train="never")
    page = (project / "site" / "all" / "index.html").read_text()
    card = re.search(r'<a class="wm-card" href="([^"]+)"><img src="([^"]+)"', page)
    assert card and "<strong>Catcher</strong><span>Apples &lt;fall&gt;.</span>" in page
    assert (project / "site" / "all" / card[1] / "index.html").resolve().is_file()
    assert (project / "site" / "all" / card[2]).resolve().is_file()


@pytest.mark.parametrize(
    ("fence", "said"),
    [
        ("pong:\n  page: x.md\n  says: x\n", r"unknown key 'pong'; known: catcher"),
        ("catcher: notes/catcher.md\n", r"world 'catcher' needs `page: \.\.\.` and `says: \.\.\.`"),
        (GOOD.replace("catcher.md", "apple.md"), r"there is no page 'notes/apple\.md' in docs/"),
    ],
)
def test_what_a_gallery_cannot_show_is_one_line(
    starter_site: Path, tmp_path: Path, fence: str, said: str
) -> None:
    project = with_fence(starter_site, tmp_path / "project", fence)
    with pytest.raises(UserError, match=said) as caught:
        run(project, train="never")
    assert "docs/all.md: " in str(caught.value) and "\n" not in str(caught.value)
