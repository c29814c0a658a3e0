"""An endpoint on this machine that speaks the OpenAI protocol, for a vignette that must run without a model.

It takes the place of vLLM, Ollama, llama.cpp or a vendor. What answers is not a language model but a list of phrases,
read as a hasty reader would: it knows some arguments, and takes good and bad words at their face value.
"""

from __future__ import annotations

import json
import math
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PHRASES = {
    "would use": 2.0,
    "build it": 2.0,
    "at last": 1.5,
    "has needed": 2.0,
    "vote for the line": 2.0,
    "on their own": 1.0,
    "nobody": -2.0,
    "instead": -2.0,
    "vote the line down": -2.5,
    "not survive": -2.0,
    "to park": -1.5,
    "no use": -2.0,
    "wonderful": 1.0,
    "beautiful": 1.0,
    "welcome": 1.2,
    "excellent": 1.0,
    "great": 0.8,
    "awful": -1.0,
    "hate": -1.0,
    "terrible": -1.0,
    "horrible": -1.0,
    "disgrace": -1.0,
}


TONE = frozenset(
    ["wonderful", "beautiful", "welcome", "excellent", "great", "awful", "hate", "terrible", "horrible", "disgrace"]
)


def chance(text: str, model: str = "hasty-reader", told: str = "") -> float:
    """Probability that the answer is yes.

    A model called a word counter sees good and bad words only; told that tone does not count, a reader leaves them out.
    """
    seen = {phrase for phrase in PHRASES if phrase in text.lower()}
    seen = seen & TONE if "counter" in model else seen - TONE if "tone" in told.lower() else seen
    return 1 / (1 + math.exp(-sum(PHRASES[phrase] for phrase in seen)))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = asked["messages"][-1]["content"]
        told, text = content.split("Text:\n", 1)
        p = chance(text.split("\n\nAnswer")[0], asked["model"], told)
        chances = {"yes": 0.99 * p, "no": 0.99 * (1 - p)}
        answer = max(chances, key=chances.__getitem__)
        tops = [{"token": token, "logprob": math.log(max(value, 1e-9))} for token, value in chances.items()]
        place = {"token": answer, "logprob": math.log(chances[answer]), "top_logprobs": tops}
        reply = {
            "model": asked["model"],
            "choices": [
                {
                    "message": {"role": "assistant", "content": answer},
                    "logprobs": {"content": [place]},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": len(content) // 4, "completion_tokens": 1},
        }
        raw = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@contextmanager
def serve():
    """Run the endpoint; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
