"""A web server that tells its version and its pod, logs every request, and stops when asked to."""

import http.server
import os
import signal
import sys
import threading


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            print("crashing, as asked", flush=True)
            os._exit(7)
        body = f"{os.environ['VERSION']} {os.environ.get('GREETING', 'hello')} from {os.uname().nodename}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, pattern, *values):
        print("request", self.path, flush=True)


def main():
    server = http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Answer)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"web {os.environ['VERSION']} listens", flush=True)
    server.serve_forever()
    print("web stopped", flush=True)


if __name__ == "__main__":
    sys.exit(main())
