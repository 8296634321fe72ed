# SPDX-License-Identifier: Apache-2.0
"""Who sits between the two nodes and has the keys of both: hands frames on, remembers them, says them again, or spoils them.

    meddler = Meddler(host, lab)
    meddler.be(b, a)                                # b calls HOST for a
    old = meddler.heard[RECORDS]                    # frames, as they were
    meddler.say(old[3])                             # before the next one that a says
    meddler.spoil = True                            # of the next RECORDS one bit is another
"""
import os
import socket
import ssl
import struct
import threading

PORT = 6737
HEADER = 64
RECORDS, COMMIT = 4, 5


def context(side, lab, name):
    c = ssl.SSLContext(side)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    c.load_cert_chain(os.path.join(lab.keys, name + ".crt"), os.path.join(lab.keys, name + ".key"))
    return c


def read_exactly(s, count):
    data = b""
    while len(data) < count:
        some = s.recv(count - len(data))
        if not some:
            raise ConnectionError("the end")
        data += some
    return data


class Meddler:
    def __init__(self, host, lab):
        self.host, self.lab = host, lab
        self.heard = {}
        self.lock = threading.Lock()
        self.words, self.spoil, self.links = [], False, 0
        self.listener = host.listen(PORT)

    def be(self, standby, primary):
        """To each of them the other one."""
        self.called, self.calls = context(ssl.PROTOCOL_TLS_SERVER, self.lab, primary.name), context(ssl.PROTOCOL_TLS_CLIENT, self.lab, standby.name)
        self.address = primary.host.address
        if not self.links:
            threading.Thread(target=self.listen, daemon=True).start()

    def say(self, *frames):
        with self.lock:
            self.words += frames

    def listen(self):
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self.between, args=(near,), daemon=True).start()

    def between(self, near):
        """From the primary to the standby frame by frame, the other way as it comes."""
        try:
            far = self.calls.wrap_socket(self.host.connect(self.address, PORT))
            near = self.called.wrap_socket(near, server_side=True)
            near.sendall(read_exactly(far, len(b"mqfs 1\r\n")))
            self.links += 1
            threading.Thread(target=self.back, args=(near, far), daemon=True).start()
            while True:
                header = read_exactly(far, HEADER)
                near.sendall(self.meddle(header + read_exactly(far, struct.unpack_from("<I", header, 8)[0])))
        except OSError:
            self.end(near)

    def meddle(self, frame):
        kind = frame[4]
        with self.lock:
            self.heard.setdefault(kind, []).append(frame)
            words, self.words = b"".join(self.words), []
            if kind == RECORDS and self.spoil:
                self.spoil = False
                frame = bytearray(frame)
                frame[-1] ^= 1
        return words + bytes(frame)

    def back(self, near, far):
        try:
            while some := near.recv(1 << 16):
                far.sendall(some)
        except OSError:
            pass
        self.end(far)

    @staticmethod
    def end(s):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
