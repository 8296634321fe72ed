#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""relay.py FROM-PORT TO-PORT: hands on what comes to 127.0.0.1:FROM-PORT, both ways. Stopped, it is a network that has gone quiet;
killed then, what it had not handed on is lost."""
import socket
import sys
import threading

def hand_on(a, b):
    try:
        while True:
            some = a.recv(65536)
            if not some:
                break
            b.sendall(some)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while True:
    near, _ = listener.accept()
    try:
        far = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
    except OSError:
        near.close()
        continue
    for pair in ((near, far), (far, near)):
        threading.Thread(target=hand_on, args=pair, daemon=True).start()
