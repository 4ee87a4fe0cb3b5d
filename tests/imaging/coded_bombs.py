"""The bombs of those types whose codes have to be written bit by bit, or table by table."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Iterator, Sequence

import pictures
from PIL import Image

Corpus = Iterator[tuple[str, bytes]]


class Bits:
    """Bits, the lowest of each byte first."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def write(self, value: int, count: int) -> None:
        self._parts.append(f"{value:0{count}b}"[::-1])

    def packed(self) -> bytes:
        text = "".join(self._parts)
        count = -(-len(text) // 8)
        return int(text[::-1] or "0", 2).to_bytes(count, "little")


@functools.cache
def lzw(count: int) -> bytes:
    """So many zeros as the pixels of a GIF: each code stands for one more than the one before."""
    bits, clear, end = Bits(), 4, 5
    following = 0
    while count:
        if following in (0, 4096):
            bits.write(clear, 12 if following else 3)
            following = 5
        longest = max(1, following - 4)
        run = min(count, longest)
        size = max(3, following.bit_length())
        bits.write(0 if run == 1 else run + 4, size)
        count -= run
        following += 1
    bits.write(end, max(3, min(12, following.bit_length())))
    data = bits.packed()
    parts = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"\2" + b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


def profile(size: int) -> bytes:
    """A colour profile of about so many bytes, nearly all of them one curve."""
    points = size // 2 - 300
    values = sorted(random.Random(1).choices(range(65_536), k=points))
    curve = b"curv" + struct.pack(f">4xI{points}H", points, *values)
    curve += bytes(-len(curve) % 4)
    xyz = [
        b"XYZ " + struct.pack(">4x3i", *(round(65_536 * part) for part in parts))
        for parts in ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141), (0.9642, 1, 0.8249))
    ]
    tags = [*zip((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), xyz, strict=True)]
    at = 128 + 4 + 12 * 7
    table, body = b"", b""
    for name, content in tags:
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        table += name + struct.pack(">II", at + len(body), len(curve))
    body += curve
    whole = struct.pack(">I", 7) + table + body
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x3i",
        128 + len(whole),
        0x02400000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        b"acsp",
        63_190,
        65_536,
        54_061,
    )
    return head.ljust(128, b"\0") + whole


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _side(pixels: int) -> bytes:
    return struct.pack("<I", pixels - 1)[:3]


def _flat_webp(width: int, height: int) -> bytes:
    """A picture without loss, all of whose pixels are the same and take no bits."""
    bits = Bits()
    for value, count in ((0x2F, 8), (width - 1, 14), (height - 1, 14), (1, 1), (0, 3), (0, 1), (0, 1), (0, 1)):
        bits.write(value, count)
    for _ in range(5):
        bits.write(0b0001, 4)
    return bits.packed() + bytes(8)


def _webp_of_codes(side: int, groups: int) -> bytes:
    """A picture without loss, of which each square of 4 by 4 pixels has codes of its own."""
    bits = Bits()
    for value, count in ((0x2F, 8), (side - 1, 14), (side - 1, 14), (1, 1), (0, 3), (0, 1), (0, 1), (1, 1), (0, 3)):
        bits.write(value, count)
    # A picture tells of each square which codes it has: its green and red have codes of eight bits.
    bits.write(0, 1)
    for is_green in (True, False):
        bits.write(0, 1)
        bits.write(8, 4)
        for symbol in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8):
            bits.write(int(symbol == 8), 3)
        if is_green:
            bits.write(1, 1)
            bits.write(3, 3)
            bits.write(254, 8)
        else:
            bits.write(0, 1)
    for _ in range(3):
        bits.write(0b0001, 4)
    for index in range((side // 4) ** 2):
        red, green = divmod(index % groups, 256)
        for value in (green, red):
            bits.write(int(f"{value:08b}"[::-1], 2), 8)
    for _ in range(5 * groups):
        bits.write(0b0001, 4)
    return bits.packed() + bytes(8)


def webps() -> Corpus:
    def moving(width: int, height: int, *frames: tuple[int, int], flags: int = 0x02) -> bytes:
        chunks = [(b"VP8X", bytes((flags | 0x12, 0, 0, 0)) + _side(width) + _side(height)), (b"ANIM", bytes(6))]
        for frame_width, frame_height in frames:
            picture = _flat_webp(frame_width, frame_height)
            inner = b"VP8L" + struct.pack("<I", len(picture)) + picture + bytes(len(picture) & 1)
            chunks.append((b"ANMF", bytes(6) + _side(frame_width) + _side(frame_height) + b"\x0a\0\0\0" + inner))
        return _riff(*chunks)

    yield "2-frames-of-10000x10000.webp", moving(10_000, 10_000, (10_000, 10_000), (1, 1))
    yield "2-frames-of-1x1-on-9900x9900.webp", moving(9_900, 9_900, (1, 1), (1, 1))
    yield "40-frames-of-2200x2200.webp", moving(2_200, 2_200, *[(2_200, 2_200)] * 40)
    yield "800-frames-of-1x1-on-500x500.webp", moving(500, 500, *[(1, 1)] * 800)
    yield "900-frames-of-10x10.webp", moving(10, 10, *[(10, 10)] * 900)
    yield "12000-frames-of-99x99.webp", moving(99, 99, *[(1, 1)] * 12_000)
    yield "still-16383x6100.webp", _riff((b"VP8L", _flat_webp(16_383, 6_100)))
    yield "still-9900x9900.webp", _riff((b"VP8L", _flat_webp(9_900, 9_900)))
    yield "still-1x16383.webp", _riff((b"VP8L", _flat_webp(1, 16_383)))
    yield "one-frame-of-9900x9900.webp", moving(9_900, 9_900, (9_900, 9_900))
    yield "65536-codes.webp", _riff((b"VP8L", _webp_of_codes(1_024, 65_536)))
    yield "16384-codes.webp", _riff((b"VP8L", _webp_of_codes(512, 16_384)))
    padded = _riff((b"VP8L", _flat_webp(7_800, 7_800)), (b"junk", bytes(990_000)))
    yield "padded-7800x7800.webp", padded
    lossy = pictures.saved(Image.new("RGB", (6_000, 6_000)), "image/webp", quality=1, method=0).getvalue()
    yield "lossy-6000x6000.webp", lossy
    animated = moving(5_000, 5_000, *[(5_000, 5_000)] * 7)
    yield "padded-7-frames-of-5000x5000.webp", _riff_with_rest(animated, 900_000)


def _riff_with_rest(data: bytes, size: int) -> bytes:
    """The same with bytes that mean nothing, so that it seems to have reason for its pixels."""
    rest = b"junk" + struct.pack("<I", size) + bytes(size)
    return b"RIFF" + struct.pack("<I", len(data) - 8 + len(rest)) + data[8:] + rest


def tiff(fields: dict[int, int | Sequence[int]], pixels: bytes, *, pages: int = 1) -> bytes:
    """A TIFF of pages whose fields are whole numbers; a strip or tile at 0 is where the pixels begin."""
    offsets, counts = (324, 325) if 324 in fields else (273, 279)
    size = 2 + 12 * len(fields) + 4
    tables = 8 + size * pages
    long: dict[int, tuple[int, bytes]] = {}
    body = b""
    listed = {tag: [value] if isinstance(value, int) else list(value) for tag, value in sorted(fields.items())}
    place = tables + sum(4 * len(values) for values in listed.values() if len(values) > 1)
    listed[offsets] = [place + value for value in listed[offsets]]
    for tag, values in listed.items():
        if len(values) > 1:
            long[tag] = (tables + len(body), b"")
            body += struct.pack(f"<{len(values)}I", *values)
    directories = b""
    for page in range(pages):
        directories += struct.pack("<H", len(listed))
        for tag, values in listed.items():
            directories += struct.pack("<HHII", tag, 4, len(values), long[tag][0] if tag in long else values[0])
        directories += struct.pack("<I", 8 + size * (page + 1) if page + 1 < pages else 0)
    assert counts in fields
    return b"II*\0\x08\0\0\0" + directories + body + pixels


def _strips(
    width: int,
    height: int,
    rows: int,
    samples: int,
    bits: int,
    compression: int,
    photometric: int,
    one: bytes,
    **more: int,
) -> bytes:
    """A TIFF all of whose strips are in one place."""
    count = -(-height // rows) * (samples if more.get("planes") == 2 else 1)
    fields: dict[int, int | Sequence[int]] = {256: width, 257: height, 258: [bits] * samples if samples > 1 else bits}
    fields |= {259: compression, 262: photometric, 277: samples, 278: rows}
    fields |= {273: [0] * count, 279: [len(one)] * count}
    if "planes" in more:
        fields[284] = more["planes"]
    if "predictor" in more:
        fields[317] = more["predictor"]
    if samples in (2, 4) and photometric < 3:
        fields[338] = 2
    return tiff(fields, one)


def tiffs() -> Corpus:
    def packed(size: int) -> bytes:
        return zlib.compress(bytes(size), 9)

    yield "strips-in-one-place-9900x9900.tif", _strips(9_900, 9_900, 100, 3, 8, 8, 2, packed(9_900 * 100 * 3))
    yield "strips-in-one-place-9900x9900-deep.tif", _strips(9_900, 9_900, 100, 4, 16, 8, 2, packed(9_900 * 100 * 8))
    yield "predictor-9900x9900.tif", _strips(9_900, 9_900, 100, 4, 16, 8, 2, packed(9_900 * 100 * 8), predictor=2)
    yield "planes-5000x5000.tif", _strips(5_000, 5_000, 100, 3, 8, 8, 2, packed(5_000 * 100), planes=2)
    yield "planes-of-one-strip-4000x4000.tif", _strips(4_000, 4_000, 4_000, 3, 8, 8, 2, packed(4_000 * 4_000), planes=2)
    yield "bits-9900x9900.tif", _strips(9_900, 9_900, 100, 1, 1, 8, 1, packed(1_238 * 100))
    yield "white-is-zero-9900x9900.tif", _strips(9_900, 9_900, 100, 1, 8, 8, 0, packed(9_900 * 100))
    runs = (b"\x81\0" * 78 + b"\x8f\0") * 16
    yield "packbits-9900x9900.tif", _strips(9_900 + 114, 9_900, 16, 1, 8, 32773, 1, runs)
    yield "wide-1000000x99.tif", _strips(1_000_000, 99, 1, 4, 8, 8, 2, packed(4_000_000))
    yield "one-strip-9900x9900.tif", _strips(9_900, 9_900, 9_900, 1, 8, 8, 1, packed(9_900 * 9_900))
    yield "separated-6000x6000.tif", _strips(6_000, 6_000, 100, 4, 8, 8, 5, packed(6_000 * 400))
    yield "lab-5000x5000.tif", _strips(5_000, 5_000, 100, 3, 8, 8, 8, packed(5_000 * 300))
    yield "90000-strips.tif", _strips(1_000, 90_000, 1, 1, 8, 8, 1, packed(1_000))
    for name, compression in (
        ("lzw", "tiff_lzw"),
        ("fax", "group4"),
        ("lzma", "lzma"),
        ("zstd", "zstd"),
        ("jpeg", "jpeg"),
    ):
        file = io.BytesIO()
        image = Image.new("1" if name == "fax" else "RGB", (3_000, 3_000))
        image.save(file, "TIFF", compression=compression)
        if len(file.getvalue()) < 1_000_000:
            yield f"{name}-3000x3000.tif", file.getvalue()
    count = (9_900 // 16 + 1) ** 2 // 4
    tiles: dict[int, int | Sequence[int]] = {256: 9_900, 257: 9_900, 258: 8, 259: 8, 262: 1, 277: 1}
    tiles |= {322: 32, 323: 32, 324: [0] * count, 325: [len(packed(1_024))] * count}
    yield "96100-tiles-in-one-place.tif", tiff(tiles, packed(1_024))
    tiles |= {322: 9_904, 323: 9_904, 324: 0, 325: len(packed(9_904 * 9_904))}
    yield "one-tile-9904x9904.tif", tiff(tiles, packed(9_904 * 9_904))
    tiles |= {256: 10, 257: 10}
    yield "one-tile-9904x9904-for-10x10.tif", tiff(tiles, packed(9_904 * 9_904))
    tiles |= {256: 5_000, 257: 5_000, 258: [8] * 3, 262: 2, 277: 3, 322: 512, 323: 512, 284: 2}
    tiles |= {324: [0] * 300, 325: [len(packed(512 * 512))] * 300}
    yield "planes-of-tiles-5000x5000.tif", tiff(tiles, packed(512 * 512))
    page: dict[int, int | Sequence[int]] = {256: 3_000, 257: 3_000, 258: 8, 259: 8, 262: 1, 277: 1, 278: 3_000}
    page |= {273: 0, 279: len(packed(9_000_000))}
    yield "999-pages-of-3000x3000.tif", tiff(page, packed(9_000_000), pages=999)
