"""Where the page may be reached, and by whom."""

from __future__ import annotations

import socket

import pytest

from mulde.data.errors import InputError, PackageMissingError
from mulde.pipeline.watch import address
from mulde.pipeline.watch.address import is_named_rightly, listening

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    "text", ["", ":", "door", "-1", "65536", ":8080", "[]:8080", "1.5", "localhost:", "٣", "9" * 5000]
)
def test_no_place_for_a_page(text: str) -> None:
    with pytest.raises(InputError, match="is no place for a page: PORT, such as 8080, or HOST:PORT"):
        listening(text).__enter__()


@pytest.mark.parametrize(
    "text", ["no.such.host.invalid:0", "192.0.2.1:0", "a..b:0", ".:0", f"{'a' * 64}:0", f"é{'a' * 64}.b:0"]
)
def test_an_address_of_another_machine(text: str) -> None:
    with pytest.raises(InputError, match=text.split(":")[0]):
        listening(text).__enter__()


@pytest.mark.parametrize("token", ["", "short", "0123456789abcde!", "0123456789abcdé"])
def test_a_token_that_could_be_guessed_or_misread(token: str) -> None:
    with pytest.raises(InputError, match="has to be 16 letters and digits, or more") as error:
        listening("0", token).__enter__()
    assert not token or token not in str(error.value)


@pytest.mark.parametrize(
    ("text", "token", "url", "has_token"),
    [
        ("0", None, "http://localhost:{}/", False),
        ("127.0.0.1:0", None, "http://localhost:{}/", False),
        ("localhost:0", None, "http://localhost:{}/", False),
        ("0", TOKEN, "http://localhost:{}/", True),
        ("0.0.0.0:0", None, f"http://{socket.gethostname()}:{{}}/", True),
    ],
)
def test_others_need_a_token(text: str, token: str | None, url: str, has_token: bool) -> None:
    with listening(text, token) as listener:
        assert listener.url == url.format(listener.port)
        assert bool(listener.token) == has_token
        assert listener.token == (token or listener.token)
        is_told = has_token and token is None
        assert listener.url_with_token == listener.url + f"?token={listener.token}" * is_told
        assert not has_token or len(listener.token) >= 16
        assert not has_token or listener.token not in repr(listener)
        with socket.create_connection(("127.0.0.1", listener.port), timeout=5):
            pass


@pytest.mark.parametrize("name", ["localhost", "LocalHost"])
def test_localhost_is_the_address_that_the_page_has_without_a_host(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    found = socket.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: asked.append(host) or found)
    with listening(f"{name}:0") as listener:
        assert (asked, listener.socket.getsockname()[0], listener.token) == (["127.0.0.1"], "127.0.0.1", "")


def test_a_token_is_new_each_time() -> None:
    with listening("0.0.0.0:0") as one, listening("0.0.0.0:0") as other:
        assert one.token != other.token


def test_a_port_that_is_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"^port {port} is in use by another program: choose another"):
            listening(str(port)).__enter__()


def test_without_the_packages_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_PACKAGES", ("no_such_package",))
    with pytest.raises(
        PackageMissingError, match=r"^no_such_package is not installed: pip install 'mulde\[page\]'$"
    ):
        listening("0").__enter__()


@pytest.mark.parametrize(
    ("host", "own", "is_right"),
    [
        ("", "127.0.0.1", False),
        ("localhost", "127.0.0.1", True),
        ("LOCALHOST:8080", "127.0.0.1", True),
        ("localhost.:8080", "127.0.0.1", True),
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("[::1]:8080", "::1", True),
        ("[::1", "::1", True),
        ("camera:8080", "camera", True),
        ("evil.example:8080", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example:8080", "127.0.0.1", False),
        ("[evil.example]:8080", "127.0.0.1", False),
        ("evil.example:localhost", "127.0.0.1", False),
    ],
)
def test_names_of_this_machine(host: str, own: str, is_right: bool) -> None:
    assert is_named_rightly(host, own) == is_right
