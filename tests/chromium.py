"""Loads a page in a headless Chromium and tells what it asked for and complained about."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
SECONDS = 120
"""Longest time for a page."""


@dataclass
class Loaded:
    """What happened until the page was there. requests : URLs; complaints : console and log messages, exceptions."""

    title: str = ""
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def take(self, message: dict[str, Any]) -> str | None:
        """Keep what an event tells; its name."""
        event, values = message.get("method"), message.get("params", {})
        if event == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif event in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(values))
        return event


class _Browser:
    """The DevTools protocol: JSON texts with a zero byte behind each, on file descriptors 3 and 4 of the browser."""

    def __init__(self, profile: Path) -> None:
        read, self._to = os.pipe()
        self._from, write = os.pipe()
        command = f'exec {CHROMIUM} "$@" 3<&{read} 4>&{write}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", *OPTIONS, f"--user-data-dir={profile}"], pass_fds=(read, write),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._stream = os.fdopen(self._from, "rb")
        self._number = 0

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(60)
        self._stream.close()
        os.close(self._to)

    def messages(self) -> Iterator[Any]:
        """What the browser says, one message after the other, until it ends."""
        text = b""
        while piece := self._stream.read1(65536):
            text += piece
            *whole, text = text.split(b"\0")
            yield from map(json.loads, whole)

    def kill(self) -> None:
        """End the browser at once, and with it its messages."""
        self._process.kill()

    def send(self, method: str, session: str | None = None, **parameters: Any) -> int:
        """Ask for something; the number of the question."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._to, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        return self._number

    def ask(self, messages: Iterator[Any], loaded: Loaded, *question: Any, **parameters: Any) -> Any:
        """Send a question and wait for its answer; events on the way go to `loaded`."""
        number = self.send(*question, **parameters)
        for message in messages:
            loaded.take(message)
            if message.get("id") == number:
                return message["result"]
        raise RuntimeError(f"Chromium ended before it answered {question[0]}")


def load(page: Path, profile: Path) -> Loaded:
    """Load `page` from its file until its load event and then read its title; `profile` is a folder to use."""
    browser, loaded = _Browser(profile), Loaded()
    stop = Timer(SECONDS, browser.kill)
    stop.start()
    try:
        messages = browser.messages()
        target = browser.ask(messages, loaded, "Target.createTarget", url="about:blank")["targetId"]
        session = browser.ask(messages, loaded, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            browser.ask(messages, loaded, f"{domain}.enable", session)
        browser.send("Page.navigate", session, url=page.as_uri())
        for message in messages:
            if loaded.take(message) == "Page.loadEventFired":
                break
        found = browser.ask(messages, loaded, "Runtime.evaluate", session, expression="document.title")
        loaded.title = found["result"]["value"]
    finally:
        stop.cancel()
        browser.close()
    return loaded
