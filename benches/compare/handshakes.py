#!/usr/bin/env python3
"""The load of handshakes: one TLS 1.3 connection after another, each with one request, from some processes at once.

    handshakes.py PORT full|resumed SECONDS PROCESSES [AUTHORIZATION]

A resumed handshake takes the ticket that the connection before it was given last, as browsers do. Prints one line of JSON; an
answer other than 200, and a handshake that is not of the kind asked for, is wrong. Cipher and group: conf/openssl.cnf.
"""

import json
import os
import socket
import ssl
import sys
import time


def connections(port, resumed, seconds, authorization):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    head = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head = (head + (f"Authorization: {authorization}\r\n" if authorization else "") + "\r\n").encode()
    done = wrong = 0
    session = None
    began = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as tcp:
                tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with context.wrap_socket(tcp, session=session, suppress_ragged_eofs=True) as tls:
                    tls.sendall(head)
                    answer = tls.recv(16384)
                    while piece := tls.recv(16384):
                        answer += piece
                    # The first one of a process cannot resume.
                    good = answer.startswith(b"HTTP/1.1 200") and tls.session_reused == (session is not None)
                    session = tls.session if resumed else None
        except OSError:
            good = False
        done, wrong = done + 1, wrong + (not good)
    return {"requests": done, "wrong": wrong, "seconds": now - began}


def main():
    port, kind, seconds, processes = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    authorization = sys.argv[5] if len(sys.argv) > 5 else None
    pipes = []
    for _ in range(processes):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, json.dumps(connections(port, kind == "resumed", seconds, authorization)).encode())
            os._exit(0)
        os.close(writing)
        pipes.append(reading)
    told = [json.loads(os.read(pipe, 4096)) for pipe in pipes]
    for _ in pipes:
        os.wait()
    print(json.dumps({
        "requests": sum(one["requests"] for one in told), "wrong": sum(one["wrong"] for one in told),
        "seconds": max(one["seconds"] for one in told),
    }))


if __name__ == "__main__":
    main()
