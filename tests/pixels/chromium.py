"""What Chromium shows of a picture: the reference for every type that browsers show.

One page does all of it.  It has a secure origin, as only such a page gets an ``ImageDecoder``, which decodes each frame
of an animation for itself; but without a profile, so that the first is what an ``<img>`` shows.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

_ORIGIN = "http://localhost/"

_SCRIPT = """
async ([text, type, width, height]) => {
    const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
    const drawn = async (source, width, height) => {
        const canvas = document.createElement('canvas');
        canvas.width = width;
        canvas.height = height;
        const context = canvas.getContext('2d', {colorSpace: 'srgb'});
        context.imageSmoothingQuality = 'high';
        context.drawImage(source, 0, 0, width, height);
        return canvas.toDataURL('image/png').split(',')[1];
    };
    const image = document.createElement('img');
    const url = URL.createObjectURL(new Blob([bytes], {type}));
    image.src = url;
    document.body.replaceChildren(image);
    try {
        await image.decode();
    } catch (error) {
        return {refused: String(error)};
    }
    const size = [image.naturalWidth, image.naturalHeight];
    const still = await drawn(image, width || image.naturalWidth, height || image.naturalHeight);
    URL.revokeObjectURL(url);
    const frames = [still];
    if (type != 'image/svg+xml' && type != 'image/bmp') {
        const decoder = new ImageDecoder({data: bytes, type});
        await decoder.tracks.ready;
        await decoder.completed;
        const count = decoder.tracks.selectedTrack.frameCount;
        if (count > 1) {
            for (let index = 1; index < count; index++) {
                const {image: frame} = await decoder.decode({frameIndex: index});
                frames.push(await drawn(frame, frame.displayWidth, frame.displayHeight));
                frame.close();
            }
        }
    }
    return {size, frames};
}
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture on a page."""

    #: CSS pixels.
    width: float
    #: CSS pixels.
    height: float
    #: RGBA, each of the whole picture.
    frames: list[Image.Image]


def prepare(page: Page) -> None:
    """Opens the page that :func:`show` needs."""
    page.route(
        _ORIGIN, lambda route: route.fulfill(body="<!doctype html><title>pictures</title>", content_type="text/html")
    )
    page.goto(_ORIGIN)


def show(page: Page, data: bytes, mimetype: str, size: tuple[int, int] | None = None) -> Shown | None:
    """Shows a picture.

    :param page: one that :func:`prepare` opened
    :param size: of what is drawn, in pixels; by default that of the picture
    :returns: ``None`` where Chromium does not show it
    """
    answer = page.evaluate(_SCRIPT, [base64.b64encode(data).decode(), mimetype, *(size or (0, 0))])
    if "refused" in answer:
        return None
    frames = [Image.open(io.BytesIO(base64.b64decode(frame))).convert("RGBA") for frame in answer["frames"]]
    return Shown(*answer["size"], frames)
