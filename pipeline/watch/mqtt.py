"""Publish what is seen to a broker of MQTT, where Home Assistant finds it by itself."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from mulde.data.address import shown_address, split_address
from mulde.data.errors import InputError, require_package
from mulde.pipeline.watch.outputs import FOR_RECEIVERS

_log = logging.getLogger(__name__)
_PORT, _TLS_PORT = 1883, 8883
_CONNECT_SECONDS, _LAST_SECONDS = 10.0, 5.0
_DISCOVERY = "homeassistant/binary_sensor"
_MOST_WAITING = 10_000
"""Records that wait while the broker is away; there is no room for further ones."""


class Mqtt:
    """Publishes records to TOPIC/events, and to TOPIC/state, retained, whether an event goes on: ON or OFF.

    TOPIC/available says whether somebody watches: online or offline. What cannot be delivered waits in
    memory while the broker is away.
    """

    def __init__(self, address: str, *, thread_name: str = "") -> None:
        """Take an address: mqtt://user:password@host:port/topic, or mqtts:// with TLS; without topic, mulde.

        Args:
            thread_name: by which a log tells cameras apart; the client's thread has a name of its own.

        Raises:
            InputError: it is no such address, or the package is not installed.
        """
        self._said_by = {"thread_meant": thread_name} if thread_name else {}
        parts = split_address(address)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise InputError(
                f"{shown_address(address)} is no broker: mqtt://HOST/TOPIC, or mqtts://USER:PASSWORD@HOST/TOPIC"
            )
        self._topic = unquote(parts.path.strip("/")) or "mulde"
        if re.search(r"[+#\0]", self._topic):
            raise InputError(f"{self._topic} is no topic that can be published to: it holds +, # or a zero")
        client = require_package("paho.mqtt.client", "mqtt")
        enums = require_package("paho.mqtt.enums", "mqtt")
        self._full, self._has_lost = enums.MQTTErrorCode.MQTT_ERR_QUEUE_SIZE, False
        self._client = client.Client(enums.CallbackAPIVersion.VERSION2)
        self._client.max_queued_messages_set(_MOST_WAITING)
        self._client.will_set(f"{self._topic}/available", "offline", qos=1, retain=True)
        self._client.on_connect = self._greet
        self._client.on_disconnect = self._miss
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._host = parts.hostname
        self._port = parts.port or (_TLS_PORT if parts.scheme == "mqtts" else _PORT)

    @contextmanager
    def running(self) -> Iterator[Mqtt]:
        """Be connected, again whenever the connection is lost.

        Raises:
            InputError: nobody answers at the start.
        """
        self._client.connect_timeout = _CONNECT_SECONDS
        try:
            self._client.connect(self._host, self._port)
        except (OSError, ValueError) as error:
            raise InputError(f"the broker {self._host}:{self._port} does not answer ({error})") from None
        self._client.loop_start()
        self._publish("state", "OFF", retain=True)  # nobody has told of the end of what a killed one saw
        try:
            yield self
        finally:
            self._publish("state", "OFF", retain=True)
            last = self._publish("available", "offline", retain=True)
            try:
                last.wait_for_publish(_LAST_SECONDS)
            except (RuntimeError, ValueError) as error:  # the broker is away, or the queue is full
                _log.warning("%s was not told of the end (%s)", self._host, error, extra=self._said_by)
            self._client.disconnect()
            self._client.loop_stop()

    def put(self, record: dict[str, Any]) -> None:
        """Publish a record; those of frames and states are too many."""
        if record["type"] not in FOR_RECEIVERS:
            return
        self._publish("events", json.dumps(record, ensure_ascii=False))
        if record["type"] in ("began", "event"):
            self._publish("state", "ON" if record["type"] == "began" else "OFF", retain=True)

    def _publish(self, name: str, text: str, *, retain: bool = False) -> Any:
        published = self._client.publish(f"{self._topic}/{name}", text, qos=1, retain=retain)
        if published.rc == self._full and not self._has_lost:
            _log.warning("%s is away for so long that records are lost", self._host, extra=self._said_by)
        self._has_lost = published.rc == self._full
        return published

    def _greet(self, client: Any, data: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            _log.warning("the broker %s refuses the connection: %s", self._host, reason, extra=self._said_by)
            return
        about = {
            "name": "Unusual",
            "unique_id": re.sub(r"\W", "_", self._topic),
            "state_topic": f"{self._topic}/state",
            "availability_topic": f"{self._topic}/available",
            "json_attributes_topic": f"{self._topic}/events",
            "device_class": "motion",
            "device": {"identifiers": [f"mulde {self._topic}"], "name": self._topic, "manufacturer": "mulde"},
        }
        place = f"{_DISCOVERY}/{about['unique_id']}/config"
        client.publish(place, json.dumps(about), qos=1, retain=True)
        self._publish("available", "online", retain=True)

    def _miss(self, client: Any, data: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            _log.warning(
                "the broker %s was lost (%s); it is tried again", self._host, reason, extra=self._said_by
            )
