"""Write a gallery into a page: a card for each world, with a picture, that leads to its page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.site import film

if TYPE_CHECKING:
    from builder.site.plugin import Shown


@dataclass(frozen=True)
class Card:
    """One world of a gallery: the URL of its page, and what is said of it."""

    shown: Shown
    url: str
    says: str


def gallery(cards: list[Card], root: str) -> str:
    """Return the cards as HTML; `root` is the site's root relative to the page."""
    return f'<div class="wm-gallery">{"".join(_card(card, root) for card in cards)}</div>'


def _card(card: Card, root: str) -> str:
    world = card.shown.manifest
    title, picture = html.escape(world.title), ""
    if source := _picture(card.shown):
        picture = f'<img src="{root}{card.shown.folder}{source}" alt="" loading="lazy">'
    return (
        f'<a class="wm-card" href="{html.escape(card.url)}">{picture}'
        f"<strong>{title}</strong><span>{html.escape(card.says)}</span></a>"
    )


def _picture(shown: Shown) -> str:
    """Return the file in a world's folder that shows it: sim and model, or one frame."""
    world = shown.manifest
    for model in world.models:
        if not model.older and film.current(shown.weights[model.family]):
            return f"{model.family}/{film.FILM.still}"
    return world.poster.url if world.poster else ""
