"""The server with files and batches: made at once, worked off when told to, with faults at every step."""

from __future__ import annotations

import json

from .server import Server, reply


class BatchServer(Server):
    """``faults`` maps a step ("upload", "create", "list", "look", "content") to faults, used up in order.

    A fault is "before" (lost, nothing done), "after" (done, the reply lost), or (status, headers, body).
    """

    def __init__(self):
        super().__init__()
        self.files, self.batches, self.faults, self.steps = {}, {}, {}, []
        self.answer = lambda line: {"status_code": 200, "body": reply(line["body"], text_of(line["body"]))}
        self.listing = True

    def serve(self, handler):
        path = handler.path.split("?")[0]
        if path.endswith("/files"):
            raw = handler.rfile.read(int(handler.headers["Content-Length"]))
            self.step(handler, "upload", lambda: self.upload(raw))
        elif path.endswith("/batches"):
            about = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
            self.step(handler, "create", lambda: self.create(about))
        else:
            super().serve(handler)

    def get(self, handler):
        path, _, query = handler.path.partition("?")
        if path.endswith("/content"):
            self.step(handler, "content", lambda: self.files[path.split("/")[-2]])
        elif path.endswith("/batches") and self.listing:
            asked = dict(part.split("=") for part in query.split("&"))
            self.step(handler, "list", lambda: self.page(int(asked["limit"]), asked.get("after")))
        elif "/batches/" in path:
            self.step(handler, "look", lambda: self.batches[path.rsplit("/", 1)[-1]])
        else:
            super().get(handler)

    def step(self, handler, name, action):
        self.steps.append(name)
        fault = self.faults.get(name, [None]).pop(0) if self.faults.get(name) else None
        if isinstance(fault, tuple):
            self.send(handler, fault[0], fault[2], fault[1])
            return
        found = None if fault == "before" else action()
        if fault is None:
            self.send(handler, 200, found if isinstance(found, str) else json.dumps(found))
        else:
            handler.close_connection = True
            handler.connection.close()

    def upload(self, raw):
        content = raw.split(b"\r\n\r\n")[2].rsplit(b"\r\n--", 1)[0].decode()
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return {"id": name}

    def create(self, about):
        name = f"batch_{len(self.batches)}"
        self.batches[name] = {"id": name, "status": "in_progress", **about}
        return self.batches[name]

    def page(self, limit, after):
        names = list(self.batches)[::-1]
        names = names[names.index(after) + 1 :] if after else names
        return {"data": [self.batches[name] for name in names[:limit]], "has_more": len(names) > limit}

    def work(self, status="completed", leave_out=()):
        """Work off all batches."""
        for batch in self.batches.values():
            if batch["status"] != "in_progress":
                continue
            good, bad = [], []
            for raw in self.files[batch["input_file_id"]].splitlines():
                line = json.loads(raw)
                if any(part in text_of(line["body"]) for part in leave_out):
                    continue
                response = self.answer(line)
                found = {"id": "x", "custom_id": line["custom_id"], "response": response, "error": None}
                (good if response["status_code"] == 200 else bad).append(json.dumps(found))
            for key, lines in (("output_file_id", good), ("error_file_id", bad)):
                if lines:
                    batch[key] = f"out-{len(self.files)}"
                    self.files[batch[key]] = "\n".join(lines) + "\n"
            batch["status"] = status

    @property
    def asked(self):
        """Texts in batches, in order, as often as they were handed in."""
        return [
            text_of(json.loads(raw)["body"])
            for batch in self.batches.values()
            for raw in self.files[batch["input_file_id"]].splitlines()
        ]


def text_of(body):
    content = body["messages"][-1]["content"]
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part["type"] == "text")
    return content.split("Text:\n")[-1].split("\n\nAnswer")[0]
