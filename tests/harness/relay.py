"""A stretch of network that can be taken away: forwards TCP connections to another port.

    relay = Relay(port_of_the_server)      # relay.port is what clients connect to
    relay.cut()                            # every connection ends, new ones are refused
    relay.mend()
    relay.freeze()                         # connections are accepted and kept, and no byte gets through
    relay.thaw()
    relay.close()
"""

import selectors
import socket
import threading
import time

from harness.postgres import HOST, free_port


class Relay:
    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.lock = threading.RLock()
        self.selector = selectors.DefaultSelector()
        self.wake, waker = socket.socketpair()
        self.selector.register(waker, selectors.EVENT_READ)
        self.peers = {}
        self.listener = None
        self.frozen = self.closed = False
        self.mend()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def cut(self):
        with self.lock:
            if self.listener:
                self._forget(self.listener)
                self.listener = None
            for connection in list(self.peers):
                self._forget(connection)
            self.peers.clear()

    def mend(self):
        with self.lock:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((HOST, self.port))
            self.listener.listen()
            self.selector.register(self.listener, selectors.EVENT_READ)
            self.wake.send(b".")

    def freeze(self):
        self.frozen = True

    def thaw(self):
        self.frozen = False
        self.wake.send(b".")

    def close(self):
        self.closed = True
        self.wake.send(b".")
        self.thread.join()
        self.cut()
        self.wake.close()
        self.selector.close()

    def _forget(self, connection):
        self.selector.unregister(connection)
        connection.close()

    def _run(self):
        while not self.closed:
            events = self.selector.select()
            if self.frozen:
                time.sleep(0.01)  # what waits to be read would be told of again at once
            with self.lock:
                for key, _ in events:
                    self._serve(key.fileobj)

    def _serve(self, ready):
        if ready is self.listener:
            self._accept()
        elif ready in self.peers:
            if not self.frozen:
                self._forward(ready)
        elif ready.fileno() >= 0:  # the waker
            ready.recv(100)

    def _accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection((HOST, self.target))
        except OSError:  # nobody is there
            near.close()
            return
        self.peers[near], self.peers[far] = far, near
        for connection in (near, far):
            self.selector.register(connection, selectors.EVENT_READ)

    def _forward(self, ready):
        other = self.peers[ready]
        try:
            data = ready.recv(65536)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for connection in (ready, other):
            del self.peers[connection]
            self._forget(connection)
