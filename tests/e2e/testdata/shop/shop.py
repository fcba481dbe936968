"""A shop whose only page is its metrics: the share of its customers that it serves is its version's."""

import http.server
import os


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"shop_success_ratio {os.environ['SUCCESS']}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, pattern, *values):
        pass


http.server.ThreadingHTTPServer(("", 8080), Answer).serve_forever()
