"""A broker is told what happens; a real one, where it is installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.watch.mqtt import Mqtt

paho = pytest.importorskip("paho.mqtt.client")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "no broker"),
        ("http://host/topic", "no broker"),
        ("mqtt:///topic", "no broker"),
        ("mqtt://host:port/topic", "no broker"),
        ("mqtt://[host/topic", "no broker"),
        ("mqtt://host/a/%23", "no topic"),
    ],
)
def test_no_address_of_a_broker(address: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Mqtt(address)


def test_a_broker_that_does_not_answer_is_an_error_without_the_password() -> None:
    with pytest.raises(InputError, match=r"the broker 127\.0\.0\.1:9 does not answer") as error:
        Mqtt("mqtt://me:secret@127.0.0.1:9/door").running().__enter__()
    assert "secret" not in str(error.value)


def wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """The port of a broker on this machine."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen([program, "-c", settings], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield port
        process.terminate()


def test_logs_tell_cameras_apart(caplog: pytest.LogCaptureFixture) -> None:
    for thread_name in ("", "camera door mqtt"):
        mqtt = Mqtt("mqtt://127.0.0.1:9", thread_name=thread_name)
        mqtt._miss(None, None, None, SimpleNamespace(is_failure=True), None)
    assert [getattr(record, "thread_meant", None) for record in caplog.records] == [None, "camera door mqtt"]


def test_a_broker_gets_events_and_whether_one_goes_on(broker: int) -> None:
    got: list[tuple[str, str]] = []
    listener: Any = paho.Client(paho.CallbackAPIVersion.VERSION2)
    listener.on_message = lambda client, data, message: got.append((message.topic, message.payload.decode()))
    listener.connect("127.0.0.1", broker)
    listener.subscribe("#", qos=1)
    listener.loop_start()
    with Mqtt(f"mqtt://127.0.0.1:{broker}/home/door").running() as mqtt:
        wait_until(lambda: ("home/door/available", "online") in got)
        for record in ({"type": "began"}, {"type": "frame"}, {"type": "event", "score": 2.5}):
            mqtt.put(record)
    wait_until(lambda: ("home/door/available", "offline") in got)
    listener.loop_stop()
    config = json.loads(next(text for topic, text in got if topic.startswith("homeassistant/")))
    assert config["state_topic"] == "home/door/state"
    events = [json.loads(text) for topic, text in got if topic == "home/door/events"]
    assert events == [{"type": "began"}, {"type": "event", "score": 2.5}]
    assert [text for topic, text in got if topic == "home/door/state"] == ["OFF", "ON", "OFF", "OFF"]
