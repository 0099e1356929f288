#!/usr/bin/env python3
"""A small HTTP server for run_fetch.sh, on 127.0.0.1 alone: serves files of a folder, in the manner
that the first part of the path names, and writes each request to a log.

    server.py FOLDER PORT-FILE LOG

    /plain/FILE   all of it, whatever is asked for (no ranges)
    /range/FILE   ranges too
    /cut/FILE     half of what is asked for, then the line is dead
    /slow/FILE    a second late
    /longer/FILE  with a byte more;  /other/FILE  with a byte changed;  /moved/FILE  see /range/FILE
    http://any.host/FILE   as a proxy: the file
"""
import http.server
import os
import re
import sys
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        parts = url.path.strip("/").split("/")
        mode, name = ("plain" if url.netloc else parts[0]), parts[-1]
        asked = self.headers.get("Range")
        with open(log, "a") as file:
            file.write(f"{self.path} {asked or '-'}\n")
        path = os.path.join(folder, name)
        if mode == "moved":
            self.send_response(302)
            self.send_header("Location", "/range/" + name)
            self.end_headers()
            return
        if not os.path.exists(path):
            self.send_error(404)
            return
        data = open(path, "rb").read()
        if mode == "slow":
            time.sleep(1)
        if mode == "longer":
            data += b"x"
        if mode == "other":
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = 0
        if asked and mode in ("range", "cut"):
            start = int(re.match(r"bytes=(\d+)-", asked).group(1))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        data = data[start:]
        self.wfile.write(data[: len(data) // 2] if mode == "cut" else data)

    def log_message(self, *_):
        pass


folder, port_file, log = sys.argv[1:]
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(port_file + ".new", port_file)
server.serve_forever()
