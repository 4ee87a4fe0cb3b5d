"""The bombs in boxes: AVIF and HEIC."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Iterator

import pictures
from hostile import box, derived, heic
from PIL import Image

Corpus = Iterator[tuple[str, bytes]]

_SIDE_OF_FRAME = 2_048
_SEQUENCE = bytes.fromhex("00000062abfffff76be4404341a1")
# A frame of one colour; the bits before and after that what says that a hidden one renews all references.
_FRAME = base64.b64decode(
    "EADoigAIIIIJAAAAMfS/XaBRdODPLEB5qkYgpWeSA3k0f4iI/1H9+XLHNpydrTg9ZQVG4El7+KkYTJKscYJCM/ZYX/xRCU044WbTnRmKkiOx"
    "x/4NuFczWy15AhhUMN2Z/UUn2zQXnQc4b/GzQm3Pm/3PdiQz9lhf/FEJTTjhZtOdGYqSI7HH/g24VzNbLXkCGFQw3Zn9RSfbNBedBzhv8bNC"
    "bc+b/c92JDP2WF/8UQlNOOFm050ZipIjscf+DbhXM1steQIYVDDdmf1FJ9s0F50HOG/xs0Jtz5v9z3YkM/ZYX/xRCU044WbTnRmKkiOxx/4N"
    "uFczWy15AhhUMN2Z/UUn2zQXnQc4b/GzQm3Pm/3PdiQz9lhf/FEJTTjhZtOdGYqSI7HH/g24VzNbLXkCGFQw3Zn9RSfbNBedBzhv8bNCbc+b"
    "/c92JDP2WF/8UQlNOOFm050ZipIjscf+DbhXM1steQIYVDDdmf1FJ9s0F50HOG/xs0Jtz5v9z3Yk9lhf/FEJTTjhZtOdGYqSI7HH/g24VzNb"
    "LXkCGFQw3Zn9RSfbNBedBzhv8bNCbc+b/c92JA=="
)
_BITS_BEFORE, _BYTES_OF_HEADER = 14, 10


def _hidden() -> bytes:
    """The frame, which is decoded and not shown: AV1, 5.9.2."""
    bits = "".join(f"{byte:08b}" for byte in _FRAME[:_BYTES_OF_HEADER])
    bits = bits[:3] + "001" + bits[4:_BITS_BEFORE] + "1" * 8 + bits[_BITS_BEFORE:]
    size = _BYTES_OF_HEADER + 2
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size) + _FRAME[_BYTES_OF_HEADER:]


def _unit(kind: int, payload: bytes) -> bytes:
    low, high = len(payload) & 0x7F | 0x80, len(payload) >> 7
    return bytes((kind << 3 | 2, low, high)) + payload


def _avif(side: int, items: list[bytes], pixels: bytes) -> bytes:
    """An AVIF of one picture, or a grid of several which are all in one place."""
    plain = pictures.saved(Image.new("RGB", (64, 64)), "image/avif", speed=10).getvalue()
    at = plain.index(b"av1C") - 4
    configuration = plain[at : at + int.from_bytes(plain[at : at + 4])]
    grid = len(items)
    count = grid + 1 if grid > 1 else 1
    tile = side // round(grid**0.5)
    sizes = b"".join(box(b"ispe", struct.pack(">4xII", each, each)) for each in (tile, side))
    properties = box(b"ipco", configuration + sizes + box(b"pixi", b"\0\0\0\0\3\x08\x08\x08"))
    owners = b"".join(struct.pack(">HBBBB", number, 3, 0x81, 2, 4) for number in range(1, grid + 1))
    kinds = b"".join(box(b"infe", struct.pack(">BxxxHH4sx", 2, number, 0, b"av01")) for number in range(1, grid + 1))
    references = b""
    if grid > 1:
        owners += struct.pack(">HBBB", count, 2, 3, 4)
        kinds += box(b"infe", struct.pack(">BxxxHH4sx", 2, count, 0, b"grid"))
        references = box(b"dimg", struct.pack(f">HH{grid}H", count, grid, *range(1, grid + 1)))
        references = box(b"iref", bytes(4) + references)
    rows = round(grid**0.5) - 1
    payload = b"\0\1" + bytes((rows, rows)) + struct.pack(">II", side, side)

    def meta(place: int) -> bytes:
        places = b"".join(struct.pack(">HHHHII", number, 0, 0, 1, place, len(pixels)) for number in range(1, grid + 1))
        if grid > 1:
            places += struct.pack(">HHHHII", count, 1, 0, 1, 0, len(payload))
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">4xH", count))
            + box(b"iloc", struct.pack(">BxxxBBH", 1, 0x44, 0, count) + places)
            + box(b"iinf", struct.pack(">4xH", count) + kinds)
            + references
            + box(b"iprp", properties + box(b"ipma", struct.pack(">4xI", count) + owners))
            + box(b"idat", payload),
        )

    brands = plain[: int.from_bytes(plain[:4])]
    return brands + meta(len(brands) + len(meta(0)) + 8) + box(b"mdat", pixels)


def _pixels(data: bytes) -> bytes:
    return data[data.rindex(b"mdat") + 4 :]


def avifs() -> Corpus:
    flat = pictures.saved(Image.new("RGB", (4_300, 4_300)), "image/avif", speed=10).getvalue()
    yield "still-4300x4300.avif", flat
    yield "padded-4300x4300.avif", flat + box(b"free", bytes(900_000))
    file = io.BytesIO()
    frames = [Image.new("RGB", (1_400, 1_400), (index, 0, 0)) for index in range(20)]
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:], speed=10)
    yield "20-frames-of-1400x1400.avif", file.getvalue()
    tile = _pixels(pictures.saved(Image.new("RGB", (256, 256)), "image/avif", speed=10).getvalue())
    yield "grid-of-16x16-tiles.avif", _avif(4_096, [tile] * 256, tile)
    tile = _pixels(pictures.saved(Image.new("RGB", (64, 64)), "image/avif", speed=10).getvalue())
    yield "grid-of-64x64-tiles.avif", _avif(4_096, [tile] * 4_096, tile)
    begin = _unit(2, b"") + _unit(1, _SEQUENCE)
    for count in (20, 2_000):
        hidden = begin + _unit(6, _hidden()) * count + _unit(6, _FRAME)
        yield f"{count}-hidden-frames.avif", _avif(_SIDE_OF_FRAME, [hidden], hidden)
    shown = begin + _unit(6, _FRAME) * 2_000
    yield "2000-shown-frames.avif", _avif(_SIDE_OF_FRAME, [shown], shown)


def heics() -> Corpus:
    tile = heic(Image.new("RGB", (512, 512)))
    for count in (10, 19):
        side = 512 * count
        grid = b"\0\1" + bytes((count - 1,)) * 2 + struct.pack(">II", side, side)
        made = derived(tile, b"grid", grid, side, [1] * count**2, 512)
        yield f"grid-of-{count}x{count}-tiles.heic", made
        yield f"padded-grid-of-{count}x{count}-tiles.heic", made + box(b"free", bytes(900_000))
    overlay = b"\0\0" + b"\xff" * 8 + struct.pack(">HH", 4_000, 4_000) + bytes(4) * 900
    yield "overlay-of-900.heic", derived(heic(pictures.noise(64, 64)), b"iovl", overlay, 4_000, [1] * 900)
    flat = heic(Image.new("RGB", (2_048, 2_048)))
    at = flat.rindex(b"mdat") + 4
    size = len(flat) - at
    again = 900_000 // size
    place = flat.index(struct.pack(">I", size), flat.index(b"iloc"))
    longer = flat[:place] + struct.pack(">I", size * again) + flat[place + 4 : at - 8]
    yield "one-picture-many-times.heic", longer + box(b"mdat", flat[at:] * again)
