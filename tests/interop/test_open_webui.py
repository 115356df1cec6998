"""Open WebUI against the HTTP service, with the variables that its page shows."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from crossbar_router import free_port
from open_webui import HOME, OpenWebUI
from web_libraries import ANSWER, CLIENT_S, Served, client_environment, served
from web_pages import SHOWN, blocks_of

pytestmark = pytest.mark.skipif(
    not (HOME / "installed").exists(),
    reason="Open WebUI is not installed: make .venv-open-webui/installed needs Python 3.11 or 3.12",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running


@attrs.frozen
class Client:
    """A user's browser, as far as the application's API goes."""

    address: str
    token: str = ""

    def ask(self, path: str, body: object = None) -> Any:
        """Send a request; return the answer's JSON."""
        with self.open(path, body) as answer:
            return json.load(answer)

    def open(self, path: str, body: object = None) -> Any:
        """Send a request; return the answer, to be read as it comes."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.address + path, data, headers)
        return urllib.request.urlopen(request, timeout=CLIENT_S)

    def chat(self, text: str, model: str = "small", **further: object) -> Any:
        """Ask a model one question."""
        messages = [{"role": "user", "content": text}]
        return self.ask("/api/chat/completions", {"model": model, "messages": messages, **further})


def settings_of_the_page(address: str) -> dict[str, str]:
    """Return the variables that the page sets, with another address."""
    shown = " ".join(text for language, text in blocks_of("open-webui.md") if language == "sh")
    found = dict(re.findall(r"\b([A-Z_]+)=(\S+)", shown.replace(SHOWN, address)))
    assert {"OPENAI_API_BASE_URL", "OPENAI_API_KEY", "ENABLE_OLLAMA_API"} <= set(found)
    return found


@pytest.fixture(scope="module")
def client(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A user of the application, which has the page's connection and one of Ollama's API."""
    settings = settings_of_the_page(service.open_address)
    settings |= {"ENABLE_OLLAMA_API": "True", "OLLAMA_BASE_URL": service.open_address}
    settings |= {"WEBUI_AUTH": "False"}
    environment = {**client_environment(None), "PATH": os.environ["PATH"], **settings}
    application = OpenWebUI(tmp_path_factory.mktemp("open-webui"), free_port(), environment)
    try:
        application.wait()
        visitor = Client(application.address)
        signed = visitor.ask("/api/v1/auths/signin", {"email": "", "password": ""})
        yield Client(application.address, signed["token"])
    finally:
        application.stop()


def test_it_lists_the_models_of_both_connections(client: Client) -> None:
    names = {model["id"] for model in client.ask("/api/models")["data"]}
    assert {"small", "able", "small:latest", "able:latest"} <= names


@pytest.mark.parametrize("model", ["small", "small:latest"])
def test_it_shows_an_answer(client: Client, model: str) -> None:
    found = client.chat("Grüße 😀", model)
    assert found["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize("model", ["small", "small:latest"])
def test_it_streams_an_answer(client: Client, model: str) -> None:
    messages = [{"role": "user", "content": "Grüße 😀"}]
    body = {"model": model, "messages": messages, "stream": True}
    with client.open("/api/chat/completions", body) as answer:
        lines = [line[6:] for line in answer.read().decode().splitlines() if line[:6] == "data: "]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    texts = (choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"])
    assert "".join(text or "" for text in texts) == ANSWER


def test_a_client_that_leaves_frees_the_npu(client: Client) -> None:
    messages = [{"role": "user", "content": "Count."}]
    body = {"model": "small", "messages": messages, "stream": True}
    with client.open("/api/chat/completions", body) as answer:
        assert answer.readline()
    assert client.chat("Grüße 😀")["choices"][0]["message"]["content"] == ANSWER


def test_it_makes_titles_of_conversations(client: Client) -> None:
    messages = [{"role": "user", "content": "How is the weather?"}]
    found = client.ask("/api/v1/tasks/title/completions", {"model": "small", "messages": messages})
    assert found["choices"][0]["message"]["content"]


def test_it_passes_embeddings_on(client: Client) -> None:
    found = client.ask("/api/embeddings", {"model": "vectors", "input": ["a list"]})
    assert len(found["data"][0]["embedding"]) > 8


def test_it_shows_why_an_answer_failed(client: Client) -> None:
    with pytest.raises(urllib.error.HTTPError) as failed:
        client.chat("Grüße 😀", logit_bias={"1": 5})
    assert "logit_bias" in failed.value.read().decode()
