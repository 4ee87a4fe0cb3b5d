"""SVGs that would act if they were opened by themselves, and others that look as if they would.

``http://elsewhere.example/`` is what they load; a script says ``ran`` on the console.
"""

from __future__ import annotations

import base64

__all__ = ("ACTING", "ACTING_LATER", "FONTS", "KEPT")

_URL = "http://elsewhere.example"
_RUN = "console.log('ran')"


def _svg(content: str = "", attributes: str = "", before: str = "") -> bytes:
    namespaces = (
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' xmlns:h="http://www.w3.org/1999/xhtml" xmlns:x="urn:x" width="96" height="64"'
    )
    return (
        f"{before}<svg {namespaces} {attributes}>{content}<rect id='r' class='c' width='9' height='9'/></svg>".encode()
    )


def _within(content: str) -> bytes:
    return _svg(f'<foreignObject width="96" height="64">{content}</foreignObject>')


def _styled(css: str) -> bytes:
    return _svg(f"<style>{css}</style>")


def _data(content: str, mimetype: str) -> str:
    return f"data:{mimetype};base64,{base64.b64encode(content.encode()).decode()}"


_PAGE = _data(f"<script>{_RUN}</script>", "text/html")
_NESTED = _data(
    f'<svg xmlns="http://www.w3.org/2000/svg" id="a" onload="{_RUN}"><script>{_RUN}</script></svg>', "image/svg+xml"
)

#: By what they do it with.
ACTING: dict[str, bytes] = {
    "a script": _svg(f"<script>{_RUN}</script>"),
    "a script in HTML": _svg(f"<h:script>{_RUN}</h:script>"),
    "a script with a prefix": _svg(f'<s:script xmlns:s="http://www.w3.org/2000/svg">{_RUN}</s:script>'),
    "a script from elsewhere": _svg(f'<script href="{_URL}/a.js"/>'),
    "a script as data": _svg(f'<script xlink:href="{_data(_RUN, "text/javascript")}"/>'),
    "a script in an entity": _svg("&e;", before=f'<!DOCTYPE svg [<!ENTITY e "<script>{_RUN}</script>">]>'),
    "a script in a parameter entity": _svg(
        before=f"""<!DOCTYPE svg [<!ENTITY % p "<!ATTLIST svg onload CDATA #FIXED &#34;{_RUN}&#34;>"> %p;]>"""
    ),
    "an event attribute": _svg(attributes=f'onload="{_RUN}"'),
    "an event attribute of an animation": _svg(f'<animate attributeName="x" dur="1ms" onbegin="{_RUN}"/>'),
    "an event attribute of HTML": _within(f'<h:img src="data:," onerror="{_RUN}"/>'),
    "an event attribute with references": _svg(attributes='onload="&#99;onsole.log(&apos;ran&apos;)"'),
    "an event attribute by default": _svg(before=f"""<!DOCTYPE svg [<!ATTLIST svg onload CDATA "{_RUN}">]>"""),
    "an image": _svg(f'<image href="{_URL}/a.png" width="9" height="9"/>'),
    "an image by xlink": _svg(f'<image xlink:href="{_URL}/a.png" width="9" height="9"/>'),
    "an image by another prefix": _svg(f'<image xmlns:y="http://www.w3.org/1999/xlink" y:href="{_URL}/a.png"/>'),
    "an image that is near": _svg('<image href="a.png" width="9" height="9"/>'),
    "an image without a scheme": _svg('<image href="//elsewhere.example/a.png" width="9" height="9"/>'),
    "an image behind a tab": _svg('<image href=" ht&#9;tp://elsewhere.example/a.png" width="9" height="9"/>'),
    "an image that is nowhere used": _svg(f'<defs><image href="{_URL}/a.png" width="9" height="9"/></defs>'),
    "an image that is not shown": _svg(f'<image href="{_URL}/a.png" width="9" height="9" display="none"/>'),
    "an image by default": _svg("<image/>", before=f'<!DOCTYPE svg [<!ATTLIST image href CDATA "{_URL}/a.png">]>'),
    "an image in an entity": _svg("&e;", before=f"""<!DOCTYPE svg [<!ENTITY e "<image href='{_URL}/a.png'/>">]>"""),
    "an image of a filter": _svg(
        f'<filter id="f"><feImage href="{_URL}/a.png"/></filter><path filter="url(#f)" d="M0 0h9v9"/>'
    ),
    "a set of href": _svg(f'<image width="9" height="9"><set attributeName="href" to="{_URL}/a.png"/></image>'),
    "a set of xlink:href": _svg(
        f'<image width="9" height="9"><set attributeName="xlink:href" to="{_URL}/a.png"/></image>'
    ),
    "an animation from": _svg(
        f'<image width="9" height="9"><animate attributeName="href" from="{_URL}/a.png" to="#b" dur="1s"/></image>'
    ),
    "an animation of data that is taken apart": _svg(
        '<image width="9" height="9"><animate attributeName="href" values="data:image/png;base64,AAAA" dur="1s"/></image>'
    ),
    "an animation elsewhere": _svg(f'<image id="i"/><set href="#i" attributeName="href" to="{_URL}/a.png"/>'),
    "an animation of a class": _svg(
        f'<style>.z{{mask:url({_URL}/a.svg#m)}}</style><path d="M0 0h9v9"><set attributeName="class" to="z"/></path>'
    ),
    "an import": _styled(f'@import "{_URL}/a.css";'),
    "an import by url": _styled(f"@import url({_URL}/a.css);"),
    "an import with an escape": _styled(f'@\\69mport "{_URL}/a.css";'),
    "an import before a comment": _styled(f'@import/**/"{_URL}/a.css";'),
    "an import after an element": _svg(f'<style><g/>@import "{_URL}/a.css";</style>'),
    "an import in CDATA": _styled(f'<![CDATA[@import "{_URL}/a.css";]]>'),
    "an import in pieces": _svg(f'<style>@imp<!-- -->ort "{_URL}/a.css";</style>'),
    "an import in upper case": _styled(f'@IMPORT URL("{_URL}/a.css") screen;'),
    "an import with references": _styled(f'&#64;import "{_URL}/a.css";'),
    "an import that is near": _styled("@import 'a.css';"),
    "an import of data": _styled(f"@import url({_data(f'@import url({_URL}/a.css);', 'text/css')});"),
    "an import in HTML": _svg(f'<h:style>@import "{_URL}/a.css";</h:style>'),
    "an import in a layer": _styled(f'@import "{_URL}/a.css" layer(a);'),
    "an import in a style in an entity": _svg(
        "<style>&e;</style>", before=f"<!DOCTYPE svg [<!ENTITY e \"@import '{_URL}/a.css';\">]>"
    ),
    "a url": _styled(f"rect{{mask:url({_URL}/a.svg#m)}}"),
    "a url with an escape": _styled(f"rect{{mask:u\\72l({_URL}/a.svg#m)}}"),
    "a url with an escape within": _styled("rect{mask:url(\\68ttp://elsewhere.example/a.svg#m)}"),
    "a url without its end": _styled(f"rect{{mask:url({_URL}/a.svg#m"),
    "a url in upper case": _styled(f"rect{{MASK:URL({_URL}/a.svg#m)}}"),
    "a url under a condition": _styled(f"@media screen{{rect{{mask:url({_URL}/a.svg#m)}}}}"),
    "a url in a layer": _styled(f"@layer a{{.c{{mask:url({_URL}/a.svg#m)}}}}"),
    "a url in a nested rule": _styled(f"svg{{.c{{mask:url({_URL}/a.svg#m)}}}}"),
    "a url of a class": _styled(f".c{{mask-image:url({_URL}/a.png)}}"),
    "a url of an id": _styled(f"#r{{mask-image:url({_URL}/a.png)}}"),
    "a url of one of several": _styled(f".none, svg > #r:not(.none), .no{{mask-image:url({_URL}/a.png)}}"),
    "a url of everything": _styled(f"*{{mask-image:url({_URL}/a.png)}}"),
    "a url of a namespace": _styled(
        f"@namespace s url(http://www.w3.org/2000/svg);s|rect{{mask-image:url({_URL}/a.png)}}"
    ),
    "a url of an attribute": _styled(f"[width]{{mask-image:url({_URL}/a.png)}}"),
    "a url in a variable": _styled(f"rect{{--a:url({_URL}/a.png);mask-image:var(--a)}}"),
    "a cursor": _styled(f"rect{{cursor:url({_URL}/a.png),auto}}"),
    "a background of the root": _styled(f"svg{{background:url({_URL}/a.png)}}"),
    "an image-set": _styled(f'svg{{background:image-set("{_URL}/a.png" 1x)}}'),
    "an image-set of an engine": _styled(f'svg{{background:-webkit-image-set("{_URL}/a.png" 1x)}}'),
    "a url in an attribute": _svg(f'<path d="M0 0h9v9" mask="url({_URL}/a.svg#m)"/>'),
    "a url with an escape in an attribute": _svg(f'<path d="M0 0h9v9" mask="u\\72l({_URL}/a.svg#m)"/>'),
    "a url in a style": _svg(f'<path d="M0 0h9v9" style="mask-image:url(&quot;{_URL}/a.png&quot;)"/>'),
    "a url with a comment in a style": _svg(f'<path d="M0 0h9v9" style="mask-image:/*url(#*/url({_URL}/a.png)"/>'),
    "a marker": _svg(f'<path d="M0 0h9v9" marker-end="url({_URL}/a.svg#f)"/>'),
    "a stylesheet": _svg(before=f'<?xml-stylesheet href="{_URL}/a.css"?>'),
    "a stylesheet that is near": _svg(before='<?xml-stylesheet type="text/css" href="a.css"?>'),
    "a stylesheet with references": _svg(before='<?xml-stylesheet href="&#104;ttp://elsewhere.example/a.css"?>'),
    "a stylesheet of data": _svg(
        before=f'<?xml-stylesheet href="{_data(f"@import url({_URL}/a.css);", "text/css")}"?>'
    ),
    "a frame": _within(f'<h:iframe src="{_URL}/"/>'),
    "a frame of data": _within(f'<h:iframe src="{_PAGE}"/>'),
    "a frame of a text": _within('<h:iframe srcdoc="&lt;script>console.log(&apos;ran&apos;)&lt;/script>"/>'),
    "an object": _within(f'<h:object data="{_URL}/a.svg"/>'),
    "an embed": _within(f'<h:embed src="{_URL}/a.svg"/>'),
    "an img": _within(f'<h:img src="{_URL}/a.png"/>'),
    "a srcset": _within(f'<h:img srcset="{_URL}/a.png 1x"/>'),
    "a source": _within(f'<h:picture><h:source srcset="{_URL}/a.png"/><h:img/></h:picture>'),
    "a video": _within(f'<h:video src="{_URL}/a.mp4" preload="auto"/>'),
    "a poster": _within(f'<h:video poster="{_URL}/a.png"/>'),
    "an audio": _within(f'<h:audio src="{_URL}/a.mp3" preload="auto"/>'),
    "an input": _within(f'<h:input type="image" src="{_URL}/a.png"/>'),
    "a background of HTML": _within(f'<h:table background="{_URL}/a.png"><h:tr><h:td>a</h:td></h:tr></h:table>'),
    "a style of HTML": _within(f'<h:p style="background:url({_URL}/a.png)">a</h:p>'),
    "a link to a stylesheet": _svg(f'<h:link rel="stylesheet" href="{_URL}/a.css"/>'),
    "a link that is loaded before": _svg(f'<h:link rel="preload" as="image" href="{_URL}/a.png"/>'),
    "a meta that leads elsewhere": _svg(f'<h:meta http-equiv="refresh" content="0;url={_URL}/"/>'),
}

#: What acts in other browsers, after a while, or when somebody clicks.
ACTING_LATER: dict[str, bytes] = {
    "a script of a module": _svg(f'<script type="module">{_RUN}</script>'),
    "a use": _svg(f'<use href="{_URL}/a.svg#a"/>'),
    "a use that is near": _svg('<use href="a.svg#a"/>'),
    "a use of data": _svg(f'<use href="{_NESTED}#a"/>'),
    "a gradient": _svg(f'<linearGradient id="g" href="{_URL}/a.svg#g"/>'),
    "an animation of href": _svg(
        f'<image width="9" height="9"><animate attributeName="href" dur="1s" values="#a;{_URL}/a.png" calcMode="discrete"/></image>'
    ),
    "an animation of a link": _svg('<a><set attributeName="href" to="javascript:alert(1)"/><text y="20">a</text></a>'),
    "an animation of a style": _svg(
        f'<path d="M0 0h9v9"><set attributeName="filter" to="url({_URL}/a.svg#f)"/></path>'
    ),
    "a link to a script": _svg('<a href="javascript:alert(1)"><text y="20">a</text></a>'),
    "a link to a script behind a newline": _svg('<a xlink:href=" java&#10;script:alert(1)"><text y="20">a</text></a>'),
    "a link to a page of data": _svg(f'<a href="{_PAGE}"><text y="20">a</text></a>'),
    "a form to a script": _within('<h:form action="javascript:alert(1)"><h:button>a</h:button></h:form>'),
    "a url in keyframes": _styled(f"@keyframes k{{to{{mask-image:url({_URL}/a.png)}}}}rect{{animation:k 1s}}"),
    "a filter": _svg(f'<path d="M0 0h9v9" filter="url({_URL}/a.svg#f)"/>'),
    "an external entity": _svg("<text>&e;</text>", before=f'<!DOCTYPE svg [<!ENTITY e SYSTEM "{_URL}/a">]>'),
    "a stylesheet of a transformation": _svg(
        '<xsl:stylesheet id="s" version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">'
        "<html><body><x:a/></body></html></xsl:template></xsl:stylesheet>",
        before='<?xml-stylesheet type="text/xsl" href="#s"?>',
    ),
    "an object of SVG": _within(f'<object data="{_URL}/a.svg"/>'),
    "a srcset of several": _within(f'<h:img srcset="data:image/png;base64,AAAA 1x, {_URL}/a.png 2x"/>'),
    "a base": _svg(f'<h:base href="{_URL}/"/><use href="#r"/>'),
    "an XInclude": _svg(f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{_URL}/"/>'),
    "a link of MathML": _within(
        '<math xmlns="http://www.w3.org/1998/Math/MathML" href="javascript:alert(1)"><mi>a</mi></math>'
    ),
}

#: What does nothing, though it looks like it.
KEPT: dict[str, bytes] = {
    "a link": _svg(f'<a href="{_URL}/"><text y="20">a</text></a>'),
    "a link in HTML": _within(f'<h:a href="{_URL}/">a</h:a>'),
    "a link to a mail": _svg('<a href="mailto:a@example.org"><text y="20">a</text></a>'),
    "references within": _svg(
        '<use href="#r"/><path d="M0 0h9v9" style="fill:url( \'#g\' )" mask="url(#m)"/><use href=""/>'
    ),
    "a reference of a style that holds for nothing": _styled(f".none{{mask:url({_URL}/a.svg#m)}}"),
    "a reference of an id that is not there": _styled(f"g #none > .c{{mask-image:url({_URL}/a.png)}}"),
    "a reference of a type that is not there": _styled(f"@media screen{{polygon.c{{mask-image:url({_URL}/a.png)}}}}"),
    "a reference in a comment": _styled(f"/* @import url({_URL}/a.css); */"),
    "a reference in a string": _styled(f"rect{{--a:'url({_URL}/a.png)'}}"),
    "a reference in a comment of XML": _svg(f'<!-- <image href="{_URL}/a.png"/> -->'),
    "a reference in a text": _svg(f"<desc>@import url({_URL}/a.css) &lt;script></desc><text>url({_URL})</text>"),
    "an element of an editor": _svg(f'<x:image href="{_URL}/a.png" src="{_URL}/a" onload="{_RUN}"/>'),
    "a script of an editor": _svg(f"<x:script>{_RUN}</x:script>"),
    "an attribute of an editor": _svg(f'<g x:href="{_URL}/a.png" x:onload="{_RUN}" x:export-filename="C:\\a.png"/>'),
    "an attribute for people": _svg(f'<g aria-label="see url({_URL})" data-a="url({_URL})"/>'),
    "an empty event attribute": _svg('<g onclick=""/>'),
    "a doctype": _svg(before='<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://elsewhere.example/svg11.dtd">'),
    "an entity that is a name": _svg('<x:a xmlns:y="&e;"/>', before=f'<!DOCTYPE svg [<!ENTITY e "{_URL}/ns">]>'),
    "a namespace of CSS": _styled(f"@namespace x url({_URL}/ns);"),
    "a stylesheet instruction within": _svg(before='<?xml-stylesheet type="text/css" href="#s"?>'),
    "another instruction": _svg(before=f'<?editor href="{_URL}/"?>'),
    "HTML that is a text": _within('<h:div style="color:red"><h:b>a</h:b><h:br/></h:div>'),
    "an img of data": _within('<h:img src="data:image/png;base64,AAAA" srcset="data:image/png;base64,AAAA 2x"/>'),
    "an SVG within": _svg(f'<image href="{_NESTED}" width="9" height="9"/>'),
    "an animation": _svg(
        '<rect width="9" height="9"><animate attributeName="fill" values="red;url(#g);blue" dur="1s"/></rect>'
    ),
    "an animation of data": _svg('<image><set attributeName="href" to="data:image/png;base64,AAAA"/></image>'),
    "metadata": _svg(
        '<metadata><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><x:a r:resource="http://purl.org/x"/>'
        "</r:RDF></metadata>"
    ),
    "a condition of CSS": _styled(f"@supports (background:url({_URL}/a.png)){{rect{{fill:red}}}}"),
}

#: What loads fonts, without which others are taken.
FONTS: dict[str, bytes] = {
    "a font": _styled(f"@font-face{{font-family:f;src:url({_URL}/a.woff)}}"),
    "a font that is used": _svg(
        f"<style>@font-face{{font-family:f;src:url({_URL}/a.woff)}}text{{font-family:f}}</style><text y='20'>a</text>"
    ),
    "a font of another kind": _svg(
        f'<font-face font-family="f"><font-face-src><font-face-uri xlink:href="{_URL}/a.svg#f"/></font-face-src></font-face>'
    ),
    "a stylesheet of fonts": _styled("@import url('https://fonts.googleapis.com/css?family=Roboto');"),
    "a stylesheet of fonts without a scheme": _styled('@import "//fonts.bunny.net/css?family=a";'),
    "a stylesheet of fonts by an instruction": _svg(before='<?xml-stylesheet href="https://fonts.example/css"?>'),
}
