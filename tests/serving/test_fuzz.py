"""Whatever is sent, the answer is one of HTTP's for clients, and has no byte from outside of the folder."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.application import SECRET
from serving.servers import Server

# For each of the three servers; together they are ten thousand where everything is tried.
EXAMPLES = max(settings().max_examples, 3400 if os.environ.get("CI") == "true" else 0)

# What paths out of a folder are made of, in several spellings, and names that are there.
PARTS = r"""
    .. . / \ %2e %2f %5c %00 %25 ..; %c0%ae %ff C: ~ * ? # ; @ secret etc passwd link up inside .hidden images pipe.png
    page.html empty.png user 1 0 1.640x480.k3v9q2.png user/1/0/1.640x480.k3v9q2.png user/4/0/4.10x10.k3v9q2.svg
"""
PREFIXES = """
    /images/ /images// //images/ /images / /memory/ /streaming/ /cors-list/ /guide/ /accel/ /redirect/
    http://elsewhere.example/images/
"""
parts = st.sampled_from(["", *PARTS.split()])
paths = st.one_of(
    st.lists(parts, max_size=8).map("/".join),
    st.lists(parts, max_size=8).map("".join),
    st.text(max_size=40).map(lambda text: quote(text, errors="replace")),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=40),
)
prefixes = st.sampled_from(["", *PREFIXES.split()])
methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "get", "TRACE", "X"])
number = st.integers(-5, 400_000).map(str) | st.sampled_from(["", "9" * 30, "-", "a", "0x1", "1.5", "\u00b2"])
tag = st.sampled_from(['"k3v9q2"', 'W/"k3v9q2"', "*", '"', "", '""', 'w/"a"', '"a"b"c"']) | st.text(max_size=10)
date = st.sampled_from(
    [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 32 Foo 2024 99:99:99 +9999",
        "Mon, 01 Jan 0000 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "0",
        "Sat",
    ]
) | st.text(max_size=20)
ranges = st.lists(st.tuples(number, number).map("-".join), max_size=3).map(lambda items: "bytes=" + ",".join(items))
headers = st.lists(
    st.one_of(
        st.tuples(st.just("Range"), ranges | st.text(max_size=20)),
        st.tuples(st.sampled_from(["If-None-Match", "If-Match", "If-Range"]), st.lists(tag, max_size=3).map(", ".join)),
        st.tuples(st.sampled_from(["If-Modified-Since", "If-Unmodified-Since", "If-Range"]), date),
        st.tuples(
            st.sampled_from(["Host", "Origin", "X-Forwarded-Host", "Access-Control-Request-Method"]),
            st.text(max_size=20),
        ),
    ),
    max_size=4,
)


def header_line(name: str, value: str) -> bytes:
    value = value.replace("\r", " ").replace("\n", " ")
    return f"{name}: {value}\r\n".encode("utf-8", "replace")


@pytest.mark.soak
@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(methods, prefixes, paths, headers)
def test_no_request_makes_an_error_or_leads_out_of_the_folder(
    server: Server, method: str, prefix: str, path: str, headers: list[tuple[str, str]]
) -> None:
    lines = b"".join(header_line(name, value) for name, value in headers)
    target = f"{prefix}{path}".encode("utf-8", "replace")
    answer = server.raw(b"%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n" % (method.encode(), target, lines))
    assert re.match(rb"HTTP/1\.[01] [234]\d\d ", answer), answer
    assert SECRET not in answer
    assert b"root:" not in answer


@pytest.mark.soak
@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_no_bytes_make_an_error(server: Server, noise: bytes) -> None:
    answer = server.raw(noise.replace(b"\n", b"") + b" /images/" + noise[:20] + b"\r\nConnection: close\r\n\r\n")
    assert not re.match(rb"HTTP/1\.[01] 5", answer), answer
    assert SECRET not in answer
