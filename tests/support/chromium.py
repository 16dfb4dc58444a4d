"""A headless Chromium, spoken to through chromedriver in the words of the WebDriver standard."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PROGRAMS = ("chromium", "chromedriver")
MISSING = [name for name in PROGRAMS if not shutil.which(name)]
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Space": " "}


class Browser:
    """One window."""

    def __init__(self, address: str, folder: Path) -> None:
        self._http = requests.Session()
        self._http.trust_env = False  # the driver is on this machine
        self._address = address
        options = {"binary": shutil.which("chromium"), "args": [*FLAGS, f"--user-data-dir={folder}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        found = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._address = f"{address}/session/{found['sessionId']}"

    def _send(self, verb: str, path: str, content: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(verb, self._address + path, json=content, timeout=60).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(answer["message"])
        return answer

    def open(self, address: str) -> None:
        self._send("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns; `arguments` are its own."""
        return self._send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """As a hand does: refused if something covers it."""
        found = self._send("POST", "/element", {"using": "css selector", "value": selector})
        self._send("POST", f"/element/{found[_ELEMENT]}/click", {})

    def press(self, *keys: str) -> None:
        """Keys, one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": KEYS[key]} for key in keys for kind in ("keyDown", "keyUp")]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def chrome(self, command: str, **parameters: Any) -> Any:
        """A command of Chromium's own."""
        return self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width: int, height: int = 800) -> None:
        self.chrome("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def log(self) -> list[dict[str, Any]]:
        """What the console has said since the last time."""
        return list(self._send("POST", "/se/log", {"type": "browser"}))

    def pdf(self) -> bytes:
        return base64.b64decode(self._send("POST", "/print", {}))

    def close(self) -> None:
        self._send("DELETE", "")


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`, ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        window = Browser(_ready(port), folder)
        try:
            yield window
        finally:
            window.close()
    finally:
        driver.terminate()
        driver.wait(timeout=20)


def _ready(port: int) -> str:
    address = f"http://127.0.0.1:{port}"
    with requests.Session() as http:
        http.trust_env = False
        for _ in range(100):
            try:
                if http.get(f"{address}/status", timeout=5).json()["value"]["ready"]:
                    return address
            except requests.ConnectionError:
                time.sleep(0.1)
    raise RuntimeError("chromedriver did not start")
