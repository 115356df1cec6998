"""``rkllm doctor --contract --vision``: what is assumed of librknnrt, asked of a real one.

The steps go through a daemon, as clients do. A person judges what a program cannot.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import click

from rkllm_twisted.abi.release import releases
from rkllm_twisted.blocking import Client
from rkllm_twisted.cli import demo
from rkllm_twisted.cli.demo_vision import COLOURS, TAGS, paint
from rkllm_twisted.contract.verdict import CONTRADICTED, UNTESTED, NotTestable, Verdict, judged
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.daemon.image_texts import takes_texts, with_image_texts
from rkllm_twisted.encoders.messages import OpenEncoder
from rkllm_twisted.encoders.process import EncoderProcess
from rkllm_twisted.errors import RPCError, StartupError
from rkllm_twisted.rknn.library import SCRIPTED
from rkllm_twisted.vision_interfaces import EncoderLoad, ImageTags

#: The most tokens of an answer that a person reads.
MAX_TOKENS = 64
QUESTION = "What is in the image?"
#: Rows of one picture from two programs may differ by this much, as 16 bits round.
MAX_DIFFERENCE = 0.05


#: What vision.load says of an encoder, as far as the report shows it.
_FACTS = (
    *("version", "driver", "memory", "width", "height", "tokens", "row_width", "outputs"),
    *("family", "tags"),
)


@attrs.frozen
class VisionBoard:
    """What the steps use.

    :param asked: how the encoder is loaded.
    :param pictures: the paths of two.
    :param vectors: the path of the vendor's ``img_vec.bin`` of the first picture, or None.
    :param library: the value of ``--vision-library``.
    """

    client: Client
    asked: EncoderLoad
    model: str
    pictures: Sequence[str]
    vectors: str | None
    library: str | None

    @property
    def encoder(self) -> str:
        """The path of the encoder's file."""
        return self.asked.path

    def load(self, cores: str = "auto") -> Any:
        """Load the encoder."""
        tags = None if self.asked.tags is None else attrs.asdict(self.asked.tags)
        return self.client.load_encoder(
            self.encoder, cores=cores, family=self.asked.family, tags=tags, timeout=300
        ).raw

    def param(self) -> Mapping[str, object]:
        """Return the fields that the model is loaded with, as the daemon would load it."""
        param = {"top_k": 1, "extend_param": {"base_domain_id": 1}}
        if not takes_texts(releases()[self.client.version().runtime.abi]):
            return param
        given = with_image_texts({"model_path": self.model, **param}, self.asked)
        return {name: value for name, value in given.items() if name != "model_path"}

    def rows(self, number: int = 0) -> Any:
        """Return the rows of a picture."""
        return self.client.encode_image(self.pictures[number]).image_embed

    def answer(self, *numbers: int) -> str:
        """Ask about pictures."""
        content: list[dict[str, str]] = [{"type": "text", "text": QUESTION}]
        content += [{"type": "image", "path": self.pictures[number]} for number in numbers]
        messages = [{"role": "user", "content": content}]
        return self.client.chat(messages, max_new_tokens=MAX_TOKENS, timeout=600).text


def _file(board: VisionBoard) -> Verdict:
    head = Path(board.encoder).read_bytes()[:24]
    loaded = board.load()
    facts = ", ".join(f"{name} {loaded[name]}" for name in _FACTS)
    return judged(head.startswith((b"RKNN\0\0\0\0", b"#!rknn")), f"begins {head!r}; {facts}")


def _order(board: VisionBoard) -> Verdict:
    board.client.init(board.model, param=board.param(), timeout=600)
    return judged(True, "the encoder, then the model in domain 1: both are loaded")


def _words(board: VisionBoard) -> Verdict:
    return Verdict(UNTESTED, f"a person judges: {board.answer(0)!r}")


def _vectors(board: VisionBoard) -> Verdict:
    if board.vectors is None:
        raise NotTestable("needs the vendor's img_vec.bin of the first picture")
    theirs = memoryview(Path(board.vectors).read_bytes()).cast("f")
    ours = memoryview(board.rows().data).cast("f")
    if len(theirs) != len(ours):
        return judged(False, f"{len(ours)} numbers here, {len(theirs)} there")
    most = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
    return judged(most <= MAX_DIFFERENCE, f"the greatest difference is {most:.4f}")


def _turns(board: VisionBoard) -> Verdict:
    answers = [board.answer(number) for number in (0, 1, 0, 1)]
    holds = answers[:2] == answers[2:] and answers[0] != answers[1]
    return judged(holds, f"{answers[0]!r}, {answers[1]!r}; again: {answers[2:] == answers[:2]}")


def _two(board: VisionBoard) -> Verdict:
    return Verdict(UNTESTED, f"a person judges: {board.answer(0, 1)!r}")


def _at_once(board: VisionBoard) -> Verdict:
    """Run a second encoder beside the queue. The daemon never does."""
    asked = OpenEncoder("rknn", board.encoder, "auto", board.library)
    loaded = board.load()
    pixels = bytes(loaded["width"] * loaded["height"] * 3)
    beside = EncoderProcess(asked, Path(board.encoder).stat().st_size)
    try:
        alone = beside.encode(pixels)
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(board.answer, 0)
            same = all(beside.encode(pixels) == alone for _ in range(3))
            text = run.result()
    finally:
        beside.close()
    return judged(same, f"rows stay the same during a run: {same}; the run says {text!r}")


def _cores(board: VisionBoard) -> Verdict:
    board.load("0")
    one = board.rows()
    board.load("all")
    return judged(board.rows() == one, "rows of core 0 against those of all cores")


#: Name -> the step, in order: each uses what the former has loaded.
STEPS: Mapping[str, Callable[[VisionBoard], Verdict]] = {
    "the file says its shape": _file,
    "encoder first, model in domain 1": _order,
    "a picture is described": _words,
    "rows are the vendor's": _vectors,
    "pictures in turn keep their answers": _turns,
    "two pictures in a prompt": _two,
    "a run and an encoding at once": _at_once,
    "core 0 gives the rows of all": _cores,
}


def check_vision(
    library: str,
    model: str,
    asked: EncoderLoad,
    vision_library: str | None,
    pictures: Sequence[str],
    vectors: str | None,
    report: Path,
) -> bool:
    """Make the eight steps, print each result, and write the report.

    :param asked: how the encoder is loaded.
    :returns: True if none is contradicted.
    :raises StartupError: the report cannot be written.
    """
    path = str(demo_model() if model == "demo" else Path(model).absolute())
    more = () if vision_library is None else (f"--vision-library={vision_library}",)
    with tempfile.TemporaryDirectory(prefix="rkllm-board-") as directory:
        given = [str(Path(each).absolute()) for each in pictures] or list(_painted(Path(directory)))
        socket = str(Path(directory) / "rkllm.sock")
        with demo.daemon(socket, library, *more) as client:
            client.configure(floats="base64")
            whole = attrs.evolve(asked, path=str(Path(asked.path).absolute()))
            if vision_library == SCRIPTED and not (asked.family or asked.tags):
                # The family of the bundled model has no images.
                whole = attrs.evolve(whole, tags=ImageTags(**TAGS))
            board = VisionBoard(client, whole, path, given, vectors, vision_library)
            results = {name: _judged(step, board) for name, step in STEPS.items()}
    lines = [f"- {verdict.verdict}: {name}: {verdict.seen}\n" for name, verdict in results.items()]
    try:
        Path(f"{report}-vision.md").write_text("".join(["# Vision\n\n", *lines]))
    except OSError as error:
        raise StartupError(f"The report {report} cannot be written: {error.strerror}.") from None
    return all(verdict.verdict != CONTRADICTED for verdict in results.values())


def _judged(step: Callable[[VisionBoard], Verdict], board: VisionBoard) -> Verdict:
    try:
        verdict = step(board)
    except NotTestable as error:
        verdict = Verdict(UNTESTED, str(error))
    except (RPCError, OSError) as error:
        verdict = Verdict(CONTRADICTED, str(error))
    click.echo(f"{verdict.verdict:18} {verdict.seen}")
    return verdict


def _painted(directory: Path) -> Iterator[str]:
    for colour in COLOURS:
        yield str(paint(directory, colour))
