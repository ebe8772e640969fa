#!/usr/bin/env python3
"""Answers "!echo TEXT" with TEXT. It reads the events of /ws?v=2, and outlives the node. Needs `pip install websockets`."""
import json
import sys
import time

from websockets.sync.client import connect

api = sys.argv[1] if len(sys.argv) > 1 else "localhost:8180"
answered = set()
while True:
    try:
        with connect(f"ws://{api}/ws?v=2") as socket:
            for event in map(json.loads, socket):
                said = event.get("Message", {"own": True})
                if said["own"] or said["history"] or not said["content"].startswith("!echo "):
                    continue
                entry = said["entry"]["id"] if "entry" in said else said["id"]
                if entry not in answered:
                    socket.send(said["content"][6:])
                    answered.add(entry)
    except OSError:
        pass  # The node is not there.
    time.sleep(1)
