"""`dotcount serve`: what is refused before it listens, and where it listens."""

import re
import socket
import subprocess
import sys
import urllib.request

import pytest


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nothing-here"], 1, "does not exist"),
        (["cells", "--token", "short"], 2, "--token must have at least 16 characters"),
        (["cells", "--host", "no.such.host.invalid"], 2, "--host 'no.such.host.invalid' is no address"),
        (["cells", "--port", "70000"], 2, "--port"),
        (["cells", "--max-mb", "0"], 2, "positive"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_line(fails, words, code, told):
    assert told in fails("serve", *words, code=code)


def test_a_port_that_is_taken_is_told(fails):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = fails("serve", "cells", "--port", taken.getsockname()[1])
    assert "choose another --port" in line


def test_beyond_this_machine_the_address_has_a_token():
    command = [sys.executable, "-m", "dotcount.cli.main", "serve", "cells", "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = re.search(r":(\d+)/\?token=(\S{16,})", server.stdout.readline())
            port, token = address[1], address[2]
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/info")
            with pytest.raises(urllib.request.HTTPError, match="401"):
                opener.open(asked, timeout=60)
            asked.add_header("Authorization", f"Bearer {token}")
            with opener.open(asked, timeout=120) as answer:
                assert answer.status == 200
        finally:
            server.terminate()
