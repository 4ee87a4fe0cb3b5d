"""The bombs that are programs: drawings, of which a few words may ask for much."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator

import pictures
from packed import zeros

Corpus = Iterator[tuple[str, bytes]]

_RECT = '<rect width="400" height="300"/>'


def _svg(content: str, attributes: str = 'width="400" height="300"', before: str = "") -> bytes:
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f"{before}<svg {namespaces} {attributes}>{content}</svg>".encode()


def _nested(element: str, attributes: str, inside: Callable[[int], str], depth: int = 20) -> str:
    """Definitions, each of which uses the one before."""
    parts = (f'<{element} id="n{level}" {attributes}>{inside(level - 1)}</{element}>' for level in range(1, depth))
    return f'<defs><{element} id="n0" {attributes}>{_RECT}</{element}>{"".join(parts)}</defs>'


def svgs() -> Corpus:
    used = _nested("g", "", lambda n: f'<use xlink:href="#n{n}"/>' * 10)
    yield "uses.svg", _svg(used + '<use xlink:href="#n19"/>')
    yield (
        "uses-of-symbols.svg",
        _svg(_nested("symbol", "", lambda n: f'<use xlink:href="#n{n}"/>' * 10) + '<use xlink:href="#n19"/>'),
    )
    yield "uses-at-6-levels.svg", _svg(used + '<use xlink:href="#n5"/>')
    box = 'width="9" height="9" patternUnits="userSpaceOnUse"'
    for element, attributes, use in (
        ("pattern", box, "fill"),
        ("mask", "", "mask"),
        ("clipPath", "", "clip-path"),
        ("marker", 'markerWidth="9"', "marker-start"),
    ):
        inside = lambda n, use=use: f'<path d="M0 0h400v300h-400z" {use}="url(#n{n})"/>' * 9  # noqa: E731
        nested = _nested(element, attributes, inside)  # type: ignore[arg-type]
        yield f"nested-{element}.svg", _svg(nested + f'<path d="M0 0h400v300h-400z" {use}="url(#n19)"/>')
    tiles = '<pattern id="p" width=".01" height=".01" patternUnits="userSpaceOnUse"><rect width=".01"/></pattern>'
    yield "tiny-pattern.svg", _svg(tiles + '<rect width="400" height="300" fill="url(#p)"/>')
    tile = '<pattern id="p" width="1e5" height="1e5" patternUnits="userSpaceOnUse"><rect width="1e5"/></pattern>'
    yield "huge-pattern.svg", _svg(tile + '<rect width="1e9" height="1e9" fill="url(#p)"/>', 'viewBox="0 0 1e6 1e6"')
    for name, primitive in (
        ("blur", '<feGaussianBlur stdDeviation="900"/>'),
        ("turbulence", '<feTurbulence baseFrequency=".01" numOctaves="200"/>'),
        ("morphology", '<feMorphology operator="dilate" radius="900"/>'),
        ("convolution", f'<feConvolveMatrix order="25" kernelMatrix="{"1 " * 625}"/>'),
        ("displacement", '<feDisplacementMap in="SourceGraphic" in2="SourceGraphic" scale="900"/>'),
        ("light", '<feDiffuseLighting surfaceScale="9"><fePointLight x="1" y="1" z="9"/></feDiffuseLighting>'),
        ("tile", "<feTile/><feOffset dx='1'/>"),
        ("flood", "<feFlood/><feMerge>" + "<feMergeNode/>" * 50 + "</feMerge>"),
    ):
        chain = f'<filter id="f" x="-9" y="-9" width="19" height="19">{primitive * 30}</filter>'
        shapes = '<rect width="4900" height="4900" filter="url(#f)"/>' * 20
        yield f"filter-{name}.svg", _svg(chain + shapes, 'width="4900" height="4900"')
    groups = '<g opacity=".9">' * 200 + _RECT + "</g>" * 200
    yield "200-layers.svg", _svg(groups, 'width="5000" height="5000"')
    blended = '<g style="mix-blend-mode:multiply;isolation:isolate">' * 250 + _RECT + "</g>" * 250
    yield "250-blended-layers.svg", _svg(blended, 'width="5000" height="5000"')
    yield "deep.svg", _svg("<g>" * 60_000 + "</g>" * 60_000)
    yield "40000-shapes.svg", _svg('<circle r="9"/>' * 40_000)
    yield "one-long-path.svg", _svg(f'<path d="M0 0{"l9 9" * 220_000}" stroke="red"/>')
    yield "crossing-lines.svg", _svg(f'<path fill-rule="evenodd" d="M0 0{"L400 300L0 7L399 1" * 45_000}"/>')
    yield "dashes.svg", _svg('<path stroke="red" stroke-dasharray=".0001" d="M0 0L4e5 3e5"/>' * 9_000)
    yield "huge-width.svg", _svg(_RECT, 'width="9900" height="9900"')
    yield "viewBox-of-1e8.svg", _svg(_RECT, 'viewBox="0 0 1e8 1e8"')
    yield "huge-text.svg", _svg('<text font-size="1e6">W</text>' * 5_000)
    yield "long-text.svg", _svg(f"<text>{'W' * 900_000}</text>")
    yield (
        "gradients.svg",
        _svg(
            '<linearGradient id="g0"><stop/></linearGradient>'
            + "".join(f'<linearGradient id="g{n}" xlink:href="#g{n - 1}"/>' for n in range(1, 9_000))
            + '<rect width="400" height="300" fill="url(#g8999)"/>' * 900
        ),
    )
    rules = "".join(f".a{n} .b .c > * * *{{fill:red}}" for n in range(9_000))
    yield "styles.svg", _svg(f"<style>{rules}</style>" + "<g class='b'>" * 20 + _RECT * 9_000 + "</g>" * 20)
    embedded = base64.b64encode(pictures.png(5_000, 5_000)).decode()
    image = f'<image width="400" height="300" xlink:href="data:image/png;base64,{embedded}"/>'
    yield "pictures-within.svg", _svg(image * 60)
    inner = _svg(_RECT)
    for _ in range(25):
        data = base64.b64encode(inner).decode()
        inner = _svg(f'<image width="400" height="300" xlink:href="data:image/svg+xml;base64,{data}"/>')
        if len(inner) > 400_000:
            break
    yield "drawings-within.svg", inner
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    yield "laughs.svg", _svg("<text>&l11;</text>", before=f'<!DOCTYPE svg [<!ENTITY l0 "lol">{laughs}]>')
    declared = f'<!DOCTYPE svg [<!ENTITY a "{"x" * 50_000}">]>'
    yield "one-entity.svg", _svg("<text>" + "&a;" * 200_000 + "</text>", before=declared)
    yield "many-attributes.svg", _svg("<rect " + " ".join(f'a{n}="1"' for n in range(70_000)) + "/>")
    wide = _svg(_RECT * 12_000).decode().encode("utf-16")
    yield "two-bytes-a-character.svg", wide


def pdfs() -> Corpus:
    page = b"200 100"
    yield "picture-30000x30000.pdf", _pdf(page, b"q 200 0 0 100 0 0 cm /I Do Q", _picture(30_000, 30_000))
    yield "picture-9900x9900.pdf", _pdf(page, b"q 200 0 0 100 0 0 cm /I Do Q", _picture(9_900, 9_900))
    yield "picture-200-times.pdf", _pdf(page, b"q 200 0 0 100 0 0 cm /I Do Q " * 200, _picture(5_000, 5_000))
    yield "much-to-draw.pdf", _pdf(page, b"0 0 200 100 re f " * 2_000_000)
    yield "much-to-stroke.pdf", _pdf(page, b"[.001] 0 d 0 0 m " + b"200 100 l 0 0 l " * 400_000 + b"S")
    yield "deep-states.pdf", _pdf(page, b"q " * 900_000)
    forms = [
        _stream(
            b"<< /Type /XObject /Subtype /Form /BBox [0 0 200 100] /Resources << /XObject << /N %d 0 R >> >>" % (6 + n),
            b"/N Do " * 10,
        )
        for n in range(12)
    ]
    yield "nested-forms.pdf", _pdf(page, b"/I Do", *forms, _stream(b"<< /Subtype /Form /BBox [0 0 9 9]", b"f"))
    yield (
        "transparency.pdf",
        _pdf(
            b"5000 5000",
            b"/I Do " * 300,
            _stream(
                b"<< /Subtype /Form /BBox [0 0 5000 5000] /Group << /S /Transparency /I true /K true >>",
                b"0 0 5000 5000 re f",
            ),
        ),
    )
    yield "huge-page.pdf", _pdf(b"14400 14400", b"0 0 14400 14400 re f")
    yield "page-of-9000x9000.pdf", _pdf(b"9000 9000", b"0 0 9000 9000 re f")
    yield "content-of-900MB.pdf", _pdf(page, None, _zeros(b"<<", 900_000_000))
    packed_twice = zlib.compress(zeros(900_000_000), 9)
    content = b"<< /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n%s\nendstream"
    yield "packed-twice.pdf", _pdf(page, None, content % (len(packed_twice), packed_twice))


def _zeros(head: bytes, size: int) -> bytes:
    packed = zeros(size)
    return b"%s /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (head, len(packed), packed)


def _stream(head: bytes, content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    return b"%s /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (head, len(packed), packed)


def _picture(width: int, height: int) -> bytes:
    head = b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8"
    return _zeros(head % (width, height), width * height)


def _pdf(size: bytes, content: bytes | None, *others: bytes) -> bytes:
    """One page, whose content is object 4, and which knows object 5 as ``/I``."""
    drawing = _stream(b"<<", content) if content is not None else others[0]
    others = others if content is not None else others[1:]
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %s] /Contents 4 0 R "
        b"/Resources << /XObject << /I 5 0 R >> >> >>" % size,
        drawing,
        *others,
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table) + trailer
