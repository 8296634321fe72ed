# SPDX-License-Identifier: Apache-2.0
"""Who sits between the two nodes and has the keys of both: hands frames on, remembers them, says them again, or spoils them.

    meddler = Meddler(host, lab)
    meddler.be(b, a)                                # b calls HOST for a
    old = meddler.heard[RECORDS]                    # frames, as they were
    meddler.say(old[3])                             # before the next RECORDS or COMMIT that a says
    meddler.spoil = True                            # of the next RECORDS one bit is another
"""
import os
import select
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


def what_came(s):
    """Empty where nothing has come yet."""
    s.setblocking(False)
    try:
        data = s.recv(1 << 16)
        if not data:
            raise ConnectionError("the end")
        return data
    except ssl.SSLWantReadError:
        return b""
    finally:
        s.setblocking(True)


class Meddler:
    def __init__(self, host, lab):
        self.host, self.lab = host, lab
        self.heard = {}
        self.lock = threading.Lock()
        self.words, self.spoil, self.links = [], False, 0
        self.listener = host.listen(PORT)
        threading.Thread(target=self.listen, daemon=True).start()

    def be(self, standby, primary):
        """To each of them the other one."""
        self.called, self.calls = context(ssl.PROTOCOL_TLS_SERVER, self.lab, primary.name), context(ssl.PROTOCOL_TLS_CLIENT, self.lab, standby.name)
        self.address = primary.host.address

    def say(self, *frames):
        with self.lock:
            self.words += frames

    def listen(self):
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self.between, args=(near,), daemon=True).start()

    def between(self, near):
        """One thread for both ways, as a TLS connection is not for two at once."""
        far = None
        try:
            far = self.calls.wrap_socket(self.host.connect(self.address, PORT))
            near = self.called.wrap_socket(near, server_side=True)
            near.sendall(read_exactly(far, len(b"mqfs 1\r\n")))
            self.pump(near, far)
        except OSError:
            pass
        for s in (near, far):
            if s:
                self.end(s)

    def pump(self, near, far):
        """From the primary to the standby frame by frame, the other way as it comes, until one of them ends."""
        heard, follows = b"", False
        while True:
            if not near.pending() and not far.pending():
                select.select([near, far], [], [])
            far.sendall(what_came(near))
            heard += what_came(far)
            while len(heard) >= HEADER and len(heard) >= (length := HEADER + struct.unpack_from("<I", heard, 8)[0]):
                frame, heard = heard[:length], heard[length:]
                # Who merely looks at its peer hears nothing of the log, and is no link.
                if frame[4] in (RECORDS, COMMIT):
                    self.links += not follows
                    follows = True
                    frame = self.meddle(frame)
                near.sendall(frame)

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

    @staticmethod
    def end(s):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
