"""HTTP as :rfc:`9110` and its relatives say, over real connections."""

from __future__ import annotations

import os
from email.utils import formatdate, parsedate_to_datetime

import pytest

from serving.application import LARGE, LARGE_NAME, PLAIN_NAME, SMALL, SMALL_NAME, SVG_NAME
from serving.servers import Server
from sqlalchemy_imageattach.serving import Rules

ETAG = '"k3v9q2"'
LONG_AGO = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(("name", "content"), [(SMALL_NAME, SMALL), (LARGE_NAME, LARGE)])
@pytest.mark.parametrize("prefix", ["images", "memory"])
def test_get_sends_the_file(server: Server, prefix: str, name: str, content: bytes) -> None:
    status, headers, body = server.get(f"/{prefix}/{name}")
    assert (status, body) == (200, content)
    assert headers["content-length"] == str(len(content))
    assert headers["content-type"] == "image/png"
    assert headers["etag"] == ETAG
    assert headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize("name", [SMALL_NAME, LARGE_NAME, PLAIN_NAME, "missing.png", "empty.png"])
def test_head_sends_the_same_headers_and_no_body(server: Server, name: str) -> None:
    get, head = server.get(f"/images/{name}"), server.get(f"/images/{name}", "HEAD")
    assert head.status == get.status
    assert {**head.headers, "date": ""} == {**get.headers, "date": ""}
    assert head.body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_other_methods_are_not_allowed(server: Server, method: str) -> None:
    status, headers, _ = server.get(f"/images/{SMALL_NAME}", method, Content_Length="0")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_missing_file_is_404_with_a_body_of_bytes(server: Server) -> None:
    status, headers, body = server.get("/images/user/9/0/9.640x480.png")
    assert (status, body) == (404, b"Not Found\n")
    assert headers["content-length"] == str(len(body))
    assert headers["content-type"].startswith("text/plain")


def test_empty_file_is_sent(server: Server) -> None:
    status, headers, body = server.get("/images/empty.png")
    assert (status, headers["content-length"], body) == (200, "0", b"")
    assert server.get("/images/empty.png", Range="bytes=0-").status == 200


def test_names_are_unquoted(server: Server) -> None:
    assert server.get("/images/%C3%BC%20name+%26/5/0/5.640x480.k3v9q2.png").body == SMALL
    number = -(2**159)
    assert server.get(f"/images/user/{number % 1000}/{number // 1000}/{number}.640x480.k3v9q2.png").body == SMALL


def test_link_within_the_folder_is_followed(server: Server) -> None:
    assert server.get(f"/images/{SMALL_NAME.replace('user', 'inside')}").body == SMALL


def test_query_does_not_matter(server: Server) -> None:
    assert server.get(f"/images/{SMALL_NAME}?_ts=20130826123015123456").body == SMALL


# Caching


@pytest.mark.parametrize("prefix", ["images", "memory"])
def test_name_with_a_revision_may_be_cached_for_ever(server: Server, prefix: str) -> None:
    headers = server.get(f"/{prefix}/{SMALL_NAME}").headers
    assert headers["cache-control"] == "public, max-age=31536000, immutable"


def test_name_without_a_revision_may_be_cached_for_a_short_time(server: Server) -> None:
    assert server.get(f"/images/{PLAIN_NAME}").headers["cache-control"] == "public, max-age=60"


def test_validator_of_a_name_without_a_revision_changes_with_the_file(server: Server) -> None:
    path = server.folder / PLAIN_NAME
    before = server.get(f"/images/{PLAIN_NAME}").headers["etag"]
    assert server.get(f"/images/{PLAIN_NAME}").headers["etag"] == before
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert server.get(f"/images/{PLAIN_NAME}").headers["etag"] != before


@pytest.mark.parametrize("seconds", [0, 1])
def test_date_that_a_file_system_makes_up_is_no_validator(server: Server, seconds: int) -> None:
    path = server.folder / "made-up.png"
    path.write_bytes(b"one")
    os.utime(path, (seconds, seconds))
    headers = server.get("/images/made-up.png").headers
    assert "etag" not in headers
    assert "last-modified" not in headers
    assert server.get("/images/made-up.png", If_Modified_Since=formatdate(usegmt=True)).status == 200


def test_last_modified_is_the_time_of_the_file(server: Server) -> None:
    modified = server.get(f"/images/{SMALL_NAME}").headers["last-modified"]
    assert parsedate_to_datetime(modified).timestamp() == int((server.folder / SMALL_NAME).stat().st_mtime)


# Conditions


@pytest.mark.parametrize(
    "value", [ETAG, f"W/{ETAG}", "*", f'"other", {ETAG}', f'"other",W/{ETAG}', f'"a,b" , {ETAG}', f" {ETAG} "]
)
def test_if_none_match_that_matches_is_304(server: Server, value: str) -> None:
    status, headers, body = server.get(f"/images/{SMALL_NAME}", If_None_Match=value)
    assert (status, body) == (304, b"")
    assert headers["etag"] == ETAG
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "content-type" not in headers


@pytest.mark.parametrize("value", ['"other"', "", "junk", '"k3v9q', ",", "\x80"])
def test_if_none_match_that_does_not_match_is_200(server: Server, value: str) -> None:
    assert server.get(f"/images/{SMALL_NAME}", If_None_Match=value).status == 200


def test_if_none_match_comes_before_if_modified_since(server: Server) -> None:
    now = formatdate(usegmt=True)
    headers = {"If_None_Match": '"other"', "If_Modified_Since": now}
    assert server.get(f"/images/{SMALL_NAME}", **headers).status == 200


def test_if_modified_since(server: Server) -> None:
    modified = server.get(f"/images/{SMALL_NAME}").headers["last-modified"]
    assert server.get(f"/images/{SMALL_NAME}", If_Modified_Since=modified).status == 304
    assert server.get(f"/images/{SMALL_NAME}", If_Modified_Since=LONG_AGO).status == 200
    assert server.get(f"/images/{SMALL_NAME}", If_Modified_Since="Fri, 01 Jan 2100 00:00:00 GMT").status == 304


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 +99999999999999"],
)
def test_date_that_is_none_is_no_condition(server: Server, date: str) -> None:
    for name in ("If_Modified_Since", "If_Unmodified_Since"):
        assert server.get(f"/images/{SMALL_NAME}", **{name: date}).status == 200


def test_conditions_that_do_not_hold_are_412(server: Server) -> None:
    assert server.get(f"/images/{SMALL_NAME}", If_Match='"other"').status == 412
    assert server.get(f"/images/{SMALL_NAME}", If_Match=f"W/{ETAG}").status == 412
    assert server.get(f"/images/{SMALL_NAME}", If_Match=ETAG).status == 200
    assert server.get(f"/images/{SMALL_NAME}", If_Match="*").status == 200
    assert server.get(f"/images/{SMALL_NAME}", If_Unmodified_Since=LONG_AGO).status == 412
    assert server.get(f"/images/{SMALL_NAME}", If_Match=ETAG, If_Unmodified_Since=LONG_AGO).status == 200


def test_if_unmodified_since_the_time_of_the_file_holds(server: Server) -> None:
    for name in (SMALL_NAME, PLAIN_NAME):
        date = server.get(f"/images/{name}").headers["last-modified"]
        assert server.get(f"/images/{name}", If_Unmodified_Since=date).status == 200
        before = formatdate(parsedate_to_datetime(date).timestamp() - 1, usegmt=True)
        assert server.get(f"/images/{name}", If_Unmodified_Since=before).status == 412


def test_conditions_hold_for_head_too(server: Server) -> None:
    assert server.get(f"/images/{SMALL_NAME}", "HEAD", If_None_Match=ETAG).status == 304


# Ranges

SIZE = len(LARGE)


@pytest.mark.parametrize("prefix", ["images", "memory"])
@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=100000-299999", 100000, 300000),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ("bytes=5-", 5, SIZE),
        ("bytes=-5", SIZE - 5, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
        (f"bytes=5-{SIZE * 2}", 5, SIZE),
        ("Bytes=5-9", 5, 10),
    ],
)
def test_range_is_206(server: Server, prefix: str, value: str, start: int, stop: int) -> None:
    status, headers, body = server.get(f"/{prefix}/{LARGE_NAME}", Range=value)
    assert (status, body) == (206, LARGE[start:stop])
    assert headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert headers["content-length"] == str(stop - start)
    assert headers["etag"] == ETAG


@pytest.mark.parametrize(
    "value", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=999999999999999999999-", "bytes=-0"]
)
def test_range_that_cannot_be_had_is_416(server: Server, value: str) -> None:
    status, headers, _ = server.get(f"/images/{LARGE_NAME}", Range=value)
    assert (status, headers["content-range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize(
    "value",
    ["", "bytes", "bytes=", "bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=--5", "=1-"],
)
def test_range_that_is_none_or_several_is_the_whole_file(server: Server, value: str) -> None:
    status, headers, body = server.get(f"/images/{SMALL_NAME}", Range=value)
    assert (status, body) == (200, SMALL)
    assert "content-range" not in headers


def test_range_matters_to_get_only(server: Server) -> None:
    assert server.get(f"/images/{SMALL_NAME}", "HEAD", Range="bytes=0-0").status == 200


def test_if_range_gives_the_part_only_of_the_same_file(server: Server) -> None:
    modified = server.get(f"/images/{SMALL_NAME}").headers["last-modified"]
    expected = {ETAG: 206, modified: 206, f"W/{ETAG}": 200, '"other"': 200, LONG_AGO: 200, "junk": 200}
    got = {value: server.get(f"/images/{SMALL_NAME}", Range="bytes=0-0", If_Range=value).status for value in expected}
    assert got == expected


def test_condition_comes_before_range(server: Server) -> None:
    assert server.get(f"/images/{SMALL_NAME}", Range="bytes=0-0", If_None_Match=ETAG).status == 304


# Stores


def test_file_of_unknown_length_is_streamed_whole(server: Server) -> None:
    for name, content in ((SMALL_NAME, SMALL), (LARGE_NAME, LARGE)):
        status, headers, body = server.get(f"/streaming/{name}", Range="bytes=0-0")
        assert (status, body) == (200, content)
        assert "content-length" not in headers
        assert "accept-ranges" not in headers
        assert server.get(f"/streaming/{name}", If_None_Match=ETAG).status == 304


def test_store_without_revisions_serves_names_without_one(server: Server) -> None:
    assert server.get("/guide/user/1/0/1.640x480.png").body == SMALL
    assert server.get("/guide/user/2/0/2.640x480.png").status == 404
    assert server.get(f"/guide/{SMALL_NAME}").status == 404


@pytest.mark.parametrize("name", ["", "x", "user/1/0/2.640x480.png", "../secret", f"{'9' * 3000}.1x1.png"])
def test_store_has_no_file_of_a_name_that_is_no_key(server: Server, name: str) -> None:
    for prefix in ("memory", "redirect"):
        assert server.get(f"/{prefix}/{name}").status == 404


def test_redirect_goes_to_the_url_of_the_store(server: Server) -> None:
    status, headers, _ = server.get(f"/redirect/{SMALL_NAME}")
    assert (status, headers["location"]) == (302, f"https://elsewhere.example/{SMALL_NAME}")
    assert headers["cache-control"] == "no-store"


def test_store_that_is_down_is_503(server: Server) -> None:
    status, headers, body = server.get(f"/down/{SMALL_NAME}")
    assert (status, body) == (503, b"Service Unavailable\n")
    assert "retry-after" in headers


def test_file_is_left_to_the_server_in_front_when_it_can_send_it(server: Server) -> None:
    status, headers, body = server.get("/accel/%C3%BC%20name+%26/5/0/5.640x480.k3v9q2.png")
    assert (status, body) == (200, b"")
    assert headers["x-accel-redirect"] == "/protected/%C3%BC%20name%2B%26/5/0/5.640x480.k3v9q2.png"
    assert server.get("/accel/missing.png").status == 404
    status, headers, body = server.get(f"/sendfile/{SMALL_NAME}")
    assert (status, body) == (200, b"")
    assert headers["x-sendfile"] == str(server.folder / SMALL_NAME)


# Other origins


def test_other_origins_may_not_read_unless_told(server: Server) -> None:
    headers = server.get(f"/images/{SMALL_NAME}", Origin="https://friend.example").headers
    assert not {name for name in headers if name.startswith("access-control")}


@pytest.mark.parametrize("name", [SMALL_NAME, "missing.png"])
def test_any_origin_may_read(server: Server, name: str) -> None:
    headers = server.get(f"/cors/{name}", Origin="https://any.example").headers
    assert headers["access-control-allow-origin"] == "*"
    assert "ETag" in headers["access-control-expose-headers"]
    assert "vary" not in headers


def test_listed_origins_may_read_and_caches_are_told(server: Server) -> None:
    friend = server.get(f"/cors-list/{SMALL_NAME}", Origin="https://friend.example").headers
    assert (friend["access-control-allow-origin"], friend["vary"]) == ("https://friend.example", "Origin")
    for origin in ({"Origin": "https://foe.example"}, {"Origin": "https://friend.example.foe.example"}, {}):
        headers = server.get(f"/cors-list/{SMALL_NAME}", **origin).headers
        assert "access-control-allow-origin" not in headers
        assert headers["vary"] == "Origin"


def test_origins_are_a_list_and_no_text() -> None:
    with pytest.raises(TypeError, match="a list of origins"):
        Rules(cors="https://friend.example")


def test_preflight(server: Server) -> None:
    asked = {"Origin": "https://any.example", "Access_Control_Request_Method": "GET"}
    status, headers, body = server.get(f"/cors/{SMALL_NAME}", "OPTIONS", **asked)
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-methods"] == "GET, HEAD"
    assert "Range" in headers["access-control-allow-headers"]
    assert int(headers["access-control-max-age"]) > 0
    assert "access-control-allow-methods" not in server.get("/cors/x", "OPTIONS").headers


# Hostile files


@pytest.mark.parametrize(
    "path", [f"/images/{SVG_NAME}", "/images/page.html", "/images/missing.png", f"/memory/{SMALL_NAME}"]
)
def test_whatever_is_served_is_sandboxed_and_not_sniffed(server: Server, path: str) -> None:
    headers = server.get(path).headers
    policy = {part.strip() for part in headers["content-security-policy"].split(";")}
    assert {"sandbox", "default-src 'none'"} <= policy
    assert not {part for part in policy if part.startswith("script")}
    assert headers["x-content-type-options"] == "nosniff"


def test_type_is_that_of_the_name(server: Server) -> None:
    assert server.get(f"/images/{SVG_NAME}").headers["content-type"] == "image/svg+xml"


def test_images_are_downloads_when_told(server: Server) -> None:
    assert "content-disposition" not in server.get(f"/images/{SVG_NAME}").headers
    assert server.get(f"/download/{SVG_NAME}").headers["content-disposition"] == "attachment"
