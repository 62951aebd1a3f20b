"""Who is let in."""

from __future__ import annotations

import pytest
from starlette.responses import JSONResponse
from starlette.routing import Route

from dotcount.errors import UsageError
from dotcount.web.access import Access, is_loopback
from dotcount.web.app import build_app
from tests.web.conftest import running

TOKEN = "correct-horse-battery"


def make_app(access, limits):
    async def answer(request):
        return JSONResponse({"ok": True})

    return build_app([Route("/", answer), Route("/api/x", answer, methods=["GET", "POST"])], access, limits)


@pytest.fixture(scope="module")
def open_server():
    with running(make_app) as server:
        yield server


@pytest.fixture(scope="module")
def token_server():
    with running(make_app, Access("0.0.0.0", TOKEN, frozenset({"lab.example"}))) as server:
        yield server


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example", "10.0.0.5"])
def test_a_foreign_host_is_refused(open_server, host):
    with open_server.client() as client:
        answer = client.get("/api/x", headers={"Host": host})
    assert answer.status_code in (400, 403)
    assert answer.status_code == 400 or "name of this machine" in answer.json()["error"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1234", "[::1]:80", "LOCALHOST:8"])
def test_names_of_this_machine_are_known(open_server, host):
    with open_server.client() as client:
        assert client.get("/api/x", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_sites_are_refused(open_server, headers, method):
    with open_server.client() as client:
        answer = client.request(method, "/api/x", headers=headers)
    assert answer.status_code == 403
    assert "other sites" in answer.json()["error"]


def test_the_page_itself_and_programs_are_let_in(open_server):
    with open_server.client() as client:
        own = {"Origin": open_server.url, "Sec-Fetch-Site": "same-origin"}
        assert client.post("/api/x", headers=own).status_code == 200
        assert client.post("/api/x").status_code == 200
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert client.get("/", headers=link).status_code == 200  # a link to the page, which then asks for itself


def test_every_answer_carries_the_policy(open_server):
    with open_server.client() as client:
        for answer in (client.get("/"), client.get("/none"), client.get("/", headers={"Host": "evil.example"})):
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "server" not in answer.headers


def test_a_token_is_demanded_and_becomes_a_cookie(token_server):
    with token_server.client() as client:
        assert client.get("/api/x").status_code == 401
        assert client.get("/api/x", headers={"Authorization": "Bearer wrong-wrong-wrong-wrong"}).status_code == 401
        assert client.get(f"/api/x?token={TOKEN}").status_code == 401  # only a page takes it from the address
        page = client.get("/", params={"token": "<script>"})
        assert page.status_code == 401
        assert "<script>" not in page.text
        assert "Wrong token" in page.text
        assert client.get("/api/x", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        signed = client.get("/", params={"token": TOKEN})
        assert (signed.status_code, signed.headers["location"]) == (303, "/")
        cookie = signed.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/api/x").status_code == 200
        assert client.get("/api/x", headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_server_for_others_knows_its_addresses_and_names_only(token_server):
    signed = {"Authorization": f"Bearer {TOKEN}"}
    with token_server.client() as client:
        for host, status in (("192.168.1.7:80", 200), ("lab.example", 200), ("rebound.example", 403)):
            assert client.get("/api/x", headers={**signed, "Host": host}).status_code == status


def test_tokens_are_made_beyond_this_machine_and_short_ones_refused():
    assert Access.of("localhost").token is None
    assert Access.of("0.0.0.0").token != Access.of("0.0.0.0").token
    for token in ("short", "with space in the middle", "ümläut-ümläut-ümläut"):
        with pytest.raises(UsageError, match="16 characters"):
            Access.of("0.0.0.0", token)
    assert [is_loopback(host) for host in ("127.0.0.2", "::1", "192.168.0.1", "example.org")] == [
        True,
        True,
        False,
        False,
    ]
