import gzip
import json
import socket
import threading

import pytest

from agentmail.client import NylasClient
from agentmail.types import ReplyClass
from tests.agentmail.loopback import answering, head

ACCEPTED = {"request_id": "r1", "grant_id": "g1", "data": {"id": "m1", "thread_id": "t1", "subject": "Hi"}}
BODY = json.dumps({"to": [{"email": "a@example.net"}], "body": "x" * 500_000}).encode()


def send(client, body=b'{"to":[]}', **options):
    options = {"content_type": "application/json", "idempotency_key": "k1", "attempt_id": 7, **options}
    return client.send_message("g1", body=body, **options)


def test_accepted_send_gives_the_message_and_the_request_id(serve, client_of):
    server = serve(answering((200, ACCEPTED)))

    reply = send(client_of(server))

    assert reply.reply_class is ReplyClass.ACCEPTED
    assert (reply.message.id, reply.message.thread_id, reply.message.grant_id) == ("m1", "t1", "g1")
    assert (reply.request_id, reply.status_code, reply.is_replay) == ("r1", 200, False)


def test_send_posts_exactly_the_bytes_given(serve, client_of):
    server = serve(answering((200, ACCEPTED)))
    body = b'{ "subject" : "caf\xc3\xa9" }'

    send(client_of(server), body=body, idempotency_key="k-9")

    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/v3/grants/g1/messages/send", body)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "k-9"
    assert request.headers["authorization"] == "Bearer key-1"


def test_send_of_multipart_keeps_its_content_type(serve, client_of):
    server = serve(answering((200, ACCEPTED)))

    send(client_of(server), body=b"--b--\r\n", content_type="multipart/form-data; boundary=b")

    assert server.requests[0].headers["content-type"] == "multipart/form-data; boundary=b"


def test_send_of_a_draft_has_no_body_and_no_key(serve, client_of):
    server = serve(answering((200, ACCEPTED)))

    reply = client_of(server).send_draft("g@example.org", "d/1#", attempt_id=1)

    (request,) = server.requests
    assert request.target == "/v3/grants/g%40example.org/drafts/d%2F1%23"
    assert request.body == b""
    assert "idempotency-key" not in request.headers
    assert "content-type" not in request.headers
    assert reply.reply_class is ReplyClass.ACCEPTED


def test_replayed_reply_is_marked(serve, client_of):
    server = serve(answering((200, ACCEPTED, {"Idempotent_Response": "true"})))

    assert send(client_of(server)).is_replay


def test_send_without_a_listener_has_not_started():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    reply = send(NylasClient(f"http://127.0.0.1:{port}", "key"))

    assert reply.reply_class is ReplyClass.NOT_STARTED


def test_send_to_an_unknown_host_has_not_started():
    reply = send(NylasClient("http://nowhere.invalid", "key"))

    assert reply.reply_class is ReplyClass.NOT_STARTED


def test_send_whose_tls_handshake_fails_has_not_started(serve):
    server = serve(lambda line: line.write(b"this is no handshake") or line.stay_silent())

    reply = send(NylasClient(server.uri.replace("http:", "https:"), "key"))

    assert reply.reply_class is ReplyClass.NOT_STARTED


@pytest.mark.parametrize("count", [1, 250_000, len(BODY)])
def test_reset_after_some_bytes_of_the_request_is_ambiguous(serve, client_of, count):
    def script(line):
        line.read_bytes(count)
        line.reset()

    server = serve(script)

    reply = send(client_of(server), body=BODY)

    assert reply.reply_class is ReplyClass.AMBIGUOUS
    assert server.connections == 1


def test_reset_before_a_byte_was_read_is_either_not_started_or_ambiguous(serve, client_of):
    server = serve(lambda line: line.reset())

    reply = send(client_of(server), body=BODY)

    # The reset may overtake the first byte or not.
    assert reply.reply_class in (ReplyClass.NOT_STARTED, ReplyClass.AMBIGUOUS)
    assert server.connections == 1


def test_reset_after_the_whole_request_is_ambiguous_and_not_repeated(serve, client_of):
    def script(line):
        line.read_request()
        line.reset()

    server = serve(script)

    reply = send(client_of(server))

    assert reply.reply_class is ReplyClass.AMBIGUOUS
    assert len(server.requests) == 1


def test_kept_connection_that_dies_on_a_send_is_ambiguous_and_not_repeated(serve, client_of):
    def script(line):
        line.read_request()
        line.answer(200, {"data": {"id": "g1", "grant_status": "valid"}})
        line.read_request()
        line.reset()

    server = serve(script)
    client = client_of(server)
    client.get_grant("g1")

    reply = send(client)

    assert reply.reply_class is ReplyClass.AMBIGUOUS
    assert [request.method for request in server.requests] == ["GET", "POST"]


def test_kept_connection_closed_before_the_send_is_opened_anew(serve, client_of):
    def once(line):
        line.read_request()
        line.answer(200, {"data": {"id": "g1", "grant_status": "valid"}})
        line.connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    closed = threading.Event()
    server = serve(once, answering((200, ACCEPTED)))
    client = client_of(server)
    client.get_grant("g1")
    closed.wait(5)

    reply = send(client)

    assert reply.reply_class is ReplyClass.ACCEPTED


def test_silence_after_the_request_is_ambiguous(serve, client_of):
    def script(line):
        line.read_request()
        line.stay_silent()

    reply = send(client_of(serve(script), read_timeout=0.3))

    assert reply.reply_class is ReplyClass.AMBIGUOUS


def test_reply_that_trickles_for_ever_ends_as_ambiguous(serve, client_of):
    def script(line):
        line.read_request()
        line.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not line.server.released.wait(0.05):
            line.write(b"x")

    reply = send(client_of(serve(script), connect_timeout=0.5, read_timeout=0.5))

    assert reply.reply_class is ReplyClass.AMBIGUOUS


@pytest.mark.parametrize("cut", [0, 1, 20, 130])
def test_truncated_reply_is_ambiguous(serve, client_of, cut):
    whole = json.dumps(ACCEPTED).encode()

    def script(line):
        line.read_request()
        line.write((head(200, len(whole)) + whole)[:cut])

    assert send(client_of(serve(script))).reply_class is ReplyClass.AMBIGUOUS


def test_truncated_refusal_is_ambiguous(serve, client_of):
    def script(line):
        line.read_request()
        line.write(head(400, 500) + b'{"error":{"type":"x"}}')

    assert send(client_of(serve(script))).reply_class is ReplyClass.AMBIGUOUS


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_of_a_send_is_not_followed(serve, client_of, status):
    server = serve(answering((status, {}, {"Location": "/elsewhere"})))

    reply = send(client_of(server))

    assert reply.reply_class is ReplyClass.AMBIGUOUS
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_failing_send_is_made_once(serve, client_of, status):
    server = serve(answering((status, {}, {"Retry_After": "0"})))

    send(client_of(server))

    assert len(server.requests) == 1


def test_compressed_reply_is_read(serve, client_of):
    server = serve(
        answering((200, gzip.compress(json.dumps(ACCEPTED).encode()), {"Content_Encoding": "gzip"}))
    )

    assert send(client_of(server)).message.id == "m1"


def test_broken_compression_is_ambiguous(serve, client_of):
    server = serve(answering((200, b"not gzip at all", {"Content_Encoding": "gzip"})))

    assert send(client_of(server)).reply_class is ReplyClass.AMBIGUOUS


def test_send_with_an_id_that_no_path_can_carry_is_refused(serve, client_of):
    server = serve(answering((200, ACCEPTED)))

    reply = client_of(server).send_draft("g1", "..", attempt_id=1)

    assert reply.reply_class is ReplyClass.REFUSED
    assert server.connections == 0


def test_send_without_a_committed_attempt_is_a_mistake(serve, client_of):
    server = serve(answering((200, ACCEPTED)))

    with pytest.raises(ValueError, match="attempt"):
        send(client_of(server), attempt_id=0)

    assert server.connections == 0


def test_two_threads_send_on_their_own_connections(serve, client_of):
    server = serve(answering((200, ACCEPTED)))
    client = client_of(server)
    threads = [threading.Thread(target=send, args=(client,)) for _ in range(2)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert server.connections == 2
