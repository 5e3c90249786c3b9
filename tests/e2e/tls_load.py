"""New TLS connections to one host at a steady rate, each verified against the roots given, none retried: every second one a POST of its
id, the others a GET. Prints what came of it, as the load generator does, when it is interrupted or its time is over.

    tls_load.py PORT HOST ROOTS RATE SECONDS IDS VALUES GET-PATH POST-PATH"""
import collections
import json
import signal
import socket
import ssl
import sys
import threading
import time
import uuid

THREADS = 24


class TlsLoad:
    def __init__(self, port, host, roots, rate, ids, values, get, post):
        self.port, self.host, self.rate, self.get, self.post = port, host, rate, get, post
        self.context = ssl.create_default_context(cafile=roots)
        self.ids, self.values = open(ids, "a", buffering=1), values
        self.seen, self.why, self.serials = collections.Counter(), collections.Counter(), set()
        self.count, self.lock, self.stop, self.began = 0, threading.Lock(), threading.Event(), time.monotonic()

    def exchange(self, head, body):
        with socket.create_connection(("127.0.0.1", self.port), 30) as raw, self.context.wrap_socket(raw, server_hostname=self.host) as s:
            self.serials.add(s.getpeercert()["serialNumber"])
            s.sendall(f"{head} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b""
            while more := s.recv(65536):
                answer += more
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), None)
        if length is not None and length != len(body):
            raise OSError("cut short")
        return lines[0].split(" ")[1] if lines[0] else "nothing", body

    def one(self, n):
        posts = self.post and n % 2
        mark = uuid.uuid4().hex
        try:
            status, body = self.exchange(f"POST {self.post}" if posts else f"GET {self.get}", mark.encode() if posts else b"")
            why = None if status == "200" else "status " + status
        except OSError as e:
            why, body = repr(e)[:100], b""
        with self.lock:
            if why:
                self.why[why] += 1
            elif posts:
                self.ids.write(mark + "\n")
            else:
                self.seen[body.decode()] += 1

    def run(self):
        while True:
            with self.lock:
                n = self.count
                due = self.began + n / self.rate
                if self.stop.is_set():
                    return
                self.count += 1
            # an open loop: late ones are begun as fast as it goes
            self.stop.wait(max(0, due - time.monotonic()))
            self.one(n)

    def go(self, seconds):
        threads = [threading.Thread(target=self.run) for _ in range(THREADS)]
        for t in threads:
            t.start()
        self.stop.wait(seconds)
        self.stop.set()
        for t in threads:
            t.join()
        self.ids.close()
        with open(self.values, "w") as values:
            values.writelines(f"{n} {v}\n" for v, n in self.seen.items())
        print(json.dumps({"requests": self.count, "failed": sum(self.why.values()), "why": self.why, "certificates": len(self.serials), "seconds": round(time.monotonic() - self.began, 1)}))


if __name__ == "__main__":
    port, host, roots, rate, seconds, ids, values, get, post = sys.argv[1:]
    load = TlsLoad(int(port), host, roots, float(rate), ids, values, get, post)
    signal.signal(signal.SIGINT, lambda *_: load.stop.set())
    load.go(float(seconds))
