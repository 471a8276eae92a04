# Takes reporting webhooks and checks their signatures. It needs the standard library only.
import base64
import hashlib
import hmac
import os
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def verify(key, headers, body):
    """Whether the request was signed with the key, at most five minutes from now."""
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > 300:
        return False
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    want = b"v1," + base64.b64encode(mac.digest())
    signatures = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(s.encode(), want) for s in signatures)


# The receiver. Any framework will do that gives the body as it came.
KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
if not KEY:
    raise SystemExit("WEBHOOK_SECRET is not set to a secret that begins with whsec_")


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        size = int(self.headers.get("content-length", 0))
        if self.path.split("?")[0] != "/webhooks" or size > 1 << 20:
            return self.send_error(404)
        body = self.rfile.read(size)
        if not verify(KEY, self.headers, body):
            return self.send_error(401, "the signature is not valid")
        # Queue it here under its webhook-id, which is the same on every attempt.
        print(self.headers["webhook-id"], body.decode(), flush=True)
        self.send_response(204)  # answer first, process later
        self.end_headers()


ThreadingHTTPServer(("localhost", 3000), Receiver).serve_forever()
