"""Other processes: helpers that answer lines of JSON, what a whole command costs, archives on loopback."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from platformdirs import user_cache_path

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = Path(sys.executable)


class Unavailable(Exception):
    """Something to compare with cannot be had here; the message says why."""


class Helper:
    """A program of `benchmarks/helpers` under way."""

    def __init__(self, script: str, *words: str, python: Path = PYTHON, isolated: bool = False) -> None:
        options = ["-S", "-E"] if isolated else []
        command = [str(python), *options, str(HERE / "helpers" / script), *words]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, question: object = None) -> Any:
        """Its answer to one line. Raises Unavailable when it has ended."""
        if self._process.stdin is None or self._process.stdout is None:
            raise Unavailable("a helper without pipes")
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Unavailable("a helper has ended") from error
        line = self._process.stdout.readline()
        if not line:
            raise Unavailable("a helper ended without an answer")
        return json.loads(line)


class Commands:
    """Runs commands from a process that is small itself, so that their peak memory is their own."""

    def __init__(self) -> None:
        self._helper = Helper("cost.py", isolated=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._helper.__exit__(kind, error, trace)

    def run(self, command: Sequence[str]) -> Mapping[str, float]:
        """Seconds and peak memory (MB) of a whole process. Raises Unavailable when it fails."""
        cost = self._helper.ask(list(command))
        if cost["code"] != 0:
            raise Unavailable(f"{Path(command[0]).name} ended with {cost['code']}")
        return {"seconds": cost["seconds"], "mb": cost["kb"] / 1024}


def command(name: str) -> str:
    """A command of the environment that runs the benchmarks."""
    return str(PYTHON.parent / name)


def environment(name: str, *packages: str) -> Path:
    """The Python of a virtual environment with these packages, kept in the cache. Raises Unavailable."""
    folder = user_cache_path("imaging-broker-benchmarks") / name
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.is_file():
        print(f"making an environment with {', '.join(packages)} ...", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        line = [str(python), "-m", "pip", "install", "--quiet", *packages]
        made = subprocess.run(line, capture_output=True, text=True, check=False)
        if made.returncode:
            lines = [line for line in made.stderr.splitlines() if line.startswith("ERROR")]
            raise Unavailable(f"pip cannot install {', '.join(packages)}: {' '.join(lines[-1:])}")
        ready.write_text("", encoding="utf-8")
    return python


def versions(python: Path, *packages: str) -> str:
    """The versions of packages in another environment."""
    code = (
        "from sys import argv; from importlib.metadata import version; "
        "print(', '.join(f'{name} {version(name)}' for name in argv[1:]))"
    )
    found = subprocess.run([str(python), "-c", code, *packages], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@contextlib.contextmanager
def archives(servers: int, studies: int, latency: float) -> Iterator[list[str]]:
    """The addresses of synthetic QIDO-RS archives, served by a process of their own."""
    words = ["--servers", str(servers), "--studies", str(studies), "--latency", str(latency)]
    with _peer("qido", words) as told:
        yield [f"http://127.0.0.1:{port}{told['root']}" for port in told["ports"]]


@contextlib.contextmanager
def xnat(latency: float) -> Iterator[str]:
    """The address of an XNAT of 1,000 sessions of 10 scans, served by a process of its own."""
    with _peer("xnat", ["--large", "--latency", str(latency)]) as told:
        yield told["url"]


@contextlib.contextmanager
def _peer(script: str, words: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What a peer of the tests says of itself when it has started."""
    line = [str(PYTHON), str(ROOT / "tests" / "peers" / script), *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline()) if process.stdout else {}
        finally:
            process.kill()
