"""A headless Chromium, driven over its own debugging protocol, so that no driver has to fit its version."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

COMMAND = ("chromium", "chromium-browser", "google-chrome")
KEYS = {
    "Enter": 13,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Tab": 9,
}
_MIDDLE = """(() => {
  const element = document.querySelector(%s);
  element.scrollIntoView({block: "center"});
  const box = element.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})()"""


class Chromium:
    """One page of a browser. `requests` is what it asks any network for, `said` what it complains of."""

    def __init__(self, width: int = 1280, height: int = 900, *, scripts: bool = True) -> None:
        self.requests: list[str] = []
        self.said: list[str] = []
        self._size, self._scripts = (width, height), scripts
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()

    @staticmethod
    def missing() -> str:
        """Why it cannot run here, or ""."""
        return "" if any(map(shutil.which, COMMAND)) else "no chromium (Debian package chromium)"

    async def __aenter__(self) -> Chromium:
        self._stack = contextlib.AsyncExitStack()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        program = next(filter(None, map(shutil.which, COMMAND)))
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        self._process = await asyncio.create_subprocess_exec(
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--hide-scrollbars", "--force-color-profile=srgb", f"--user-data-dir={folder}",
            "--remote-debugging-port=0", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self._stack.push_async_callback(self._end)
        port = await self._port(Path(folder, "DevToolsActivePort"))
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        async with session.get(f"http://127.0.0.1:{port}/json/list") as reply:
            target = next(t for t in await reply.json() if t["type"] == "page")
        self._socket = await self._stack.enter_async_context(
            session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
        )
        reading = asyncio.create_task(self._read())
        self._stack.push_async_callback(_cancelled, reading)
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        width, height = self._size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        await self.send("Emulation.setDeviceMetricsOverride", **metrics)
        if not self._scripts:
            await self.send("Emulation.setScriptExecutionDisabled", value=True)

    async def _port(self, file: Path) -> int:
        for _ in range(600):
            if file.is_file() and (lines := file.read_text().split()):
                return int(lines[0])
            if self._process.returncode is not None:
                raise RuntimeError(f"chromium ended with {self._process.returncode}")
            await asyncio.sleep(0.05)
        raise TimeoutError("chromium told no port in 30 seconds")

    async def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _read(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Log.entryAdded":
            self.said.append(params["entry"]["text"])
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.said.append(str(params))

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result. Raises RuntimeError for what the browser refuses."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        told = await asyncio.wait_for(self._waiting[number], 30)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, url: str) -> None:
        """Go there, and wait until everything is loaded."""
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def js(self, expression: str) -> Any:
        """The value of an expression in the page. Raises RuntimeError with what it threw."""
        told = await self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"]["exception"]["description"])
        return told["result"].get("value")

    async def key(self, name: str) -> None:
        """Press a key of KEYS and let it go."""
        for kind in ("rawKeyDown", "char", "keyUp") if name == "Enter" else ("rawKeyDown", "keyUp"):
            text = {"text": "\r"} if kind == "char" else {}
            await self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=KEYS[name],
                **text,
            )

    async def mouse(self, selector: str, *kinds: str) -> None:
        """Move to the middle of an element, and press or let go: `mousePressed`, `mouseReleased`."""
        x, y = await self.js(_MIDDLE % repr(selector))
        await asyncio.sleep(0.15)  # scrolling ends
        for kind in ("mouseMoved", *kinds):
            press = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
            await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **press)

    async def click(self, selector: str) -> None:
        """Click into the middle of an element."""
        await self.mouse(selector, "mousePressed", "mouseReleased")

    async def picture(self, file: Path, *, whole: bool = False, clip: dict[str, float] | None = None) -> None:
        """What is seen, or the whole page, or a part of it, as a PNG file."""
        cut = {"clip": {"scale": 1, **clip}} if clip else {}
        told = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **cut)
        file.write_bytes(base64.b64decode(told["data"]))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
