"""mypy and pyright accept the documentation's programs and find misspelt names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("clients.md", "testing.md", "embedding.md")

RIGHT = """
from twisted.internet.defer import Deferred
from rkllm_twisted.blocking import Client
from rkllm_twisted.client import Client as TwistedClient, RKLLMClientService
from rkllm_twisted.client_core.results import FinishedResult

def blocking(client: Client) -> float:
    client.init("m.rkllm", max_context_len=4096, extend_param={"base_domain_id": 1})
    client.init(model_path="m.rkllm")
    for chunk in client.run_async("Hi", keep_history=True, sampling_params={"top_k": 1}):
        print(chunk.text)
    weather = {"type": "function", "function": {"name": "weather"}}
    print(client.chat("Hi", tools=[weather], stop=["\\n"], max_new_tokens=9).tool_calls)
    for piece in client.chat_stream([{"role": "user", "content": "Hi"}], model="m", truncate=True):
        print(piece.text)
    client.render_chat("Hi", enable_thinking=False)
    client.complete_text("Hi", suffix="!", sampling={"top_k": 1})
    client.create_embeddings(["Hi"], dimensions=2, pooling="mean", timeout=5)
    client.score_documents("Hi", ["a"], top_n=1, return_documents=True)
    client.count_tokens(messages=[{"role": "user", "content": "Hi"}], marks=True)
    answer = client.run({"role": "user", "prompt_input": "Hi"}, mode="RKLLM_INFER_GENERATE")
    return answer.perf.generate_rate  # a run that has ended has figures

async def twisted(service: RKLLMClientService) -> FinishedResult:
    client: TwistedClient = await service.whenConnected()
    waiting: Deferred[FinishedResult] = client.run("Hi", keep_history=1)
    return await waiting
"""
#: Each line has a mistake.
WRONG = (
    'client.init("m.rkllm", max_contxt_len=4096)',
    'client.init("m.rkllm", extend_param={"base_domain": 1})',
    'client.run("Hi", keep_histroy=True)',
    'client.run("Hi", temperature=0.5)',
    'client.run("Hi", timeout="5")',
    'client.load_lora(lora_path="l", lora_adapter_name="n")',
    "client.set_cross_attn_params(num_token=1)",
    'twisted.run("Hi", keep_histroy=True)',
    'client.run("Hi").perf.generate_speed',
    'client.chat("Hi", max_tokens=5)',
    'client.chat("Hi", stop=5)',
    'client.chat("Hi", sampling={"top": 1})',
    'client.chat_stream("Hi", stream=True)',
    'client.render_chat("Hi", stop="a")',
    'client.complete_text("Hi", sufix="!")',
    'client.create_embeddings("Hi", pooling="max")',
    'client.score_documents("Hi", ["a"], top=1)',
    'client.count_tokens("Hi", mark=True)',
    'twisted.chat("Hi", tool=[])',
)
HEAD = """
from rkllm_twisted.blocking import Client
from rkllm_twisted.client import Client as TwistedClient

def wrong(client: Client, twisted: TwistedClient) -> None:
"""


def programs(folder: Path) -> list[Path]:
    """Write each Python program of the pages to a file."""
    files = []
    for page in PAGES:
        for number, text in enumerate(
            re.findall(r"```python\n(.*?)^```$", (DOCS / page).read_text(), re.S | re.M)
        ):
            files.append(folder / f"{Path(page).stem.replace('-', '_')}_{number}.py")
            files[-1].write_text(text)
    return files


def mypy(*files: Path) -> list[tuple[str, int]]:
    """Return file and line of each error from mypy."""
    options = ["--check-untyped-defs", "--ignore-missing-imports", "--follow-imports=silent"]
    command = [sys.executable, "-m", "mypy", "--config-file=", *options, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=files[0].parent)
    assert done.returncode in (0, 1), done.stderr
    found = re.findall(r"^(\S+?):(\d+): error: (?!Duplicate)", done.stdout, re.MULTILINE)
    return [(Path(name).name, int(line)) for name, line in found]


def pyright(*files: Path) -> list[tuple[str, int]]:
    """Return file and line of each error from pyright."""
    pytest.importorskip("pyright", reason="pyright is not installed")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    if not done.stdout.startswith("{"):
        pytest.skip("pyright cannot fetch its own program here")
    return [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in json.loads(done.stdout)["generalDiagnostics"]
        if one["severity"] == "error"
    ]


CHECKERS = pytest.mark.parametrize("checker", [mypy, pyright])


@CHECKERS
def test_the_documentations_programs_are_accepted(checker: object, tmp_path: Path) -> None:
    """The programs are unchanged from the pages."""
    assert callable(checker)
    assert checker(*programs(tmp_path)) == []


@CHECKERS
def test_what_is_right_is_accepted(checker: object, tmp_path: Path) -> None:
    """All natural forms are accepted; results have figures, a service gives the client's type."""
    assert callable(checker)
    file = tmp_path / "right.py"
    file.write_text(RIGHT)
    assert checker(file) == []


@CHECKERS
def test_what_is_misspelt_is_found(checker: object, tmp_path: Path) -> None:
    """Each line has an error."""
    assert callable(checker)
    file = tmp_path / "wrong.py"
    file.write_text(HEAD + "".join(f"    {line}\n" for line in WRONG))
    first = HEAD.count("\n") + 1
    found = {line for _, line in checker(file)}
    assert found == set(range(first, first + len(WRONG)))
