"""One request, one deadline; idle connections that the other side has closed are not used."""

import contextlib
import socketserver
import threading
import time

import pytest

from karat.annotate.http import Lost, Wire


def wire(server, timeout):
    return Wire(server.url, timeout)


BODY = b'{"model": "m", "messages": [{"content": "p=0.5 a"}]}'


def test_each_request_has_its_whole_time(server):
    link = wire(server, 0.5)
    server.delay = 0.3
    for _ in range(3):
        assert link.post("/v1", BODY, {}).status == 200
    server.delay = 0.8
    start = time.monotonic()
    with pytest.raises(Lost, match=r"no reply within 0\.5 s"):
        link.post("/v1", BODY, {})
    assert 0.4 < time.monotonic() - start < 0.7
    link.close()


def test_a_connection_closed_while_idle_is_opened_again(server):
    server.http.RequestHandlerClass.timeout = 0.1
    link = wire(server, 5.0)
    for _ in range(3):
        assert link.post("/v1", BODY, {}).status == 200
        time.sleep(0.25)
    assert len(server.requests) == 3
    link.close()


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX-a: ", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"])
def test_the_deadline_covers_headers_and_content_that_drip(start):
    class Drips(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            with contextlib.suppress(OSError):
                self.request.sendall(start)
                for _ in range(30):
                    self.request.sendall(b"a")
                    time.sleep(0.05)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drips) as slow:
        slow.daemon_threads, slow.block_on_close = True, False
        threading.Thread(target=slow.serve_forever, args=(0.02,), daemon=True).start()
        link = Wire(f"http://127.0.0.1:{slow.server_address[1]}/v1", 0.3)
        begun = time.monotonic()
        with pytest.raises(Lost, match=r"no reply within 0\.3 s") as caught:
            link.post("/v1", b"{}", {})
        assert time.monotonic() - begun < 0.6
        assert caught.value.sent
        slow.shutdown()


def test_replies_that_close_the_connection(server):
    class Closes(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Closes) as other:
        other.daemon_threads = True
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        link = Wire(f"http://127.0.0.1:{other.server_address[1]}/v1", 2.0)
        for _ in range(2):
            assert link.post("/v1", b"{}", {}).text == "all of it"
        other.shutdown()
