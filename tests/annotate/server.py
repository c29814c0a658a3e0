"""A local server that speaks the OpenAI protocol and can be told to fail or to lie."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Answers "yes" with a probability read off the text ("p=0.8"); counts requests; injects faults.

    ``script`` maps the number of a request (from 0) to a fault; ``always`` is a fault for every request.
    """

    def __init__(self):
        self.requests = []
        self.replies = 0
        self.script = {}
        self.always = None
        self.delay = 0.0
        self.lock = threading.Lock()
        self.flying = self.most_flying = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                outer.serve(self)

            def do_GET(self):
                outer.get(self)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    @property
    def texts(self):
        """Texts asked about, in order."""
        return [r["text"] for r in self.requests]

    def get(self, handler):
        self.send(handler, 404, '{"error": {"message": "not found"}}')

    def serve(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        content = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        if isinstance(content, list):  # with images or sounds
            content = "".join(part["text"] for part in content if part["type"] == "text")
        text = content.split("Text:\n")[-1].split("\n\nAnswer")[0]
        with self.lock:
            number = len(self.requests)
            self.requests.append(
                {
                    "body": body,
                    "text": text,
                    "time": time.monotonic(),
                    "key": handler.headers.get("Authorization"),
                    "path": handler.path,
                    "proxy": handler.headers.get("Proxy-Authorization"),
                }
            )
            self.flying += 1
            self.most_flying = max(self.most_flying, self.flying)
        try:
            fault = self.script.get(number, self.always)
            if self.delay:
                time.sleep(self.delay)
            if callable(fault):
                fault = fault(body, text)
            if fault is None:
                self.send(handler, 200, json.dumps(reply(body, text)))
            else:
                self.fail(handler, fault, body, text)
        finally:
            with self.lock:
                self.flying -= 1

    def fail(self, handler, fault, body, text):
        if fault == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.connection.close()
            handler.close_connection = True
        elif fault == "hang":
            time.sleep(0.6)
            handler.close_connection = True
        elif fault == "cut":
            handler.send_response(200)
            handler.send_header("Content-Length", "5000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [')
            handler.close_connection = True
        elif isinstance(fault, tuple):
            status, headers, content = fault
            self.send(handler, status, content, headers)
        else:
            self.send(handler, 200, fault if isinstance(fault, str) else json.dumps(fault))

    def send(self, handler, status, content, headers=()):
        raw = content.encode()
        handler.send_response(status)
        for name, value in dict(headers).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)
        if status == 200:
            with self.lock:
                self.replies += 1


def chance(text):
    return float(text.split("p=")[1].split()[0]) if "p=" in text else 0.5


def place(chances, token=None):
    """One place of an answer in the chat format."""
    tops = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in chances.items()]
    token = token or max(chances, key=chances.get)
    return {"token": token, "logprob": math.log(chances[token]), "bytes": None, "top_logprobs": tops}


def reply(body, text, *, places=None, choices=None, **changes):
    """A reply that is right in every way, unless changed."""
    p = chance(text)
    usage = {"prompt_tokens": 50, "completion_tokens": body.get("n", 1)}
    asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    if choices is None:
        if "JSON" in asked:
            choices = [json.dumps({"yes": p, "no": 1 - p})]
        elif body.get("temperature") == 1:
            n = body.get("n", 1)
            choices = ["yes" if (k + 0.5) / n < p else "no" for k in range(n)]
        else:
            choices = ["yes" if p >= 0.5 else "no"]
    out = []
    for k, answer in enumerate(choices):
        choice = {"index": k, "finish_reason": "stop"}
        tokens = places or [place({"yes": 0.6 * p, " Yes": 0.4 * p * 0.9, "No": (1 - p) * 0.9, "Well": 0.01})]
        if "messages" in body:
            choice["message"] = {"role": "assistant", "content": answer}
            choice["logprobs"] = {"content": tokens} if body.get("logprobs") else None
        else:
            choice["text"] = answer
            tops = [{t["token"]: t["logprob"] for t in one["top_logprobs"]} for one in tokens]
            choice["logprobs"] = {
                "tokens": [one["token"] for one in tokens],
                "token_logprobs": [one["logprob"] for one in tokens],
                "top_logprobs": tops,
            }
        out.append(choice)
    return {"id": "x", "object": "chat.completion", "model": body["model"], "choices": out, "usage": usage} | changes
