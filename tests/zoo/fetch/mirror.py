"""A server of archives that answers the way a test says."""

import http.server
import pathlib
import threading

from keras_hash import zoo

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAME = "dshc_digits_30"
VERSION = zoo.card(ROOT / "zoo" / NAME)["version"]
ARCHIVE = f"{NAME}-{VERSION}.tar"
GRAPH = f"{VERSION}/saved_model.pb"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        self.server.answer(self, self.server.content.get(self.path[1:]))

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Sends archives the way `answer` says, and notes what was asked for."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.requests, self.answer = content, [], whole
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """Clients hang up here on purpose."""


def whole(handler, data):
    if data is None:
        handler.send_error(404)
        return
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def half(handler, data):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])


def left_in(folder):
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []
