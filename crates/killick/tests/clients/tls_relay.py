"""Stands between a client and a TLS server, with a certificate of its own, and reads along.

usage: tls_relay.py CERTIFICATE KEY SERVER_PORT [strip]     prints the port that it listens on
With `strip` it hides from the client that the server can bind a login to the connection.
"""

import socket
import ssl
import struct
import sys
import threading

SSL_REQUEST = struct.pack("!II", 8, 80877103)


def take(stream, count):
    got = b""
    while len(got) < count:
        more = stream.recv(count - len(got))
        if not more:
            raise ConnectionError
        got += more
    return got


def frame(stream):
    head = take(stream, 5)
    return head + take(stream, struct.unpack("!I", head[1:])[0] - 4)


def pump(source, sink, strip=False):
    try:
        if strip:
            # The first message of the server's: AuthenticationSASL with the names that it offers.
            first = frame(source)
            names = [it for it in first[9:].split(b"\0") if it and not it.endswith(b"-PLUS")]
            body = first[5:9] + b"".join(it + b"\0" for it in names) + b"\0"
            sink.sendall(b"R" + struct.pack("!I", len(body) + 4) + body)
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, server_port, accepting, strip):
    try:
        assert take(client, 8) == SSL_REQUEST
        client.sendall(b"S")
        client = accepting.wrap_socket(client, server_side=True)
        server = socket.create_connection(("127.0.0.1", server_port))
        server.sendall(SSL_REQUEST)
        assert take(server, 1) == b"S"
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname = False
        anybody.verify_mode = ssl.CERT_NONE
        server = anybody.wrap_socket(server)
    except OSError:
        return
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    pump(server, client, strip)


def main():
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(sys.argv[1], sys.argv[2])
    strip = "strip" in sys.argv[4:]
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, int(sys.argv[3]), accepting, strip), daemon=True).start()


main()
