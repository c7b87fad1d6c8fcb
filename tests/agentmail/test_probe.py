from agentmail.probe import Condition, probe

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_answer_that_comes_in_pieces_is_read_as_one(serve, settings):
    def in_pieces(line):
        line.read_request()
        line.write(CHUNKED + b'9\r\n{"data": \r\n' + b"3\r\n[]}\r\n" + b"0\r\n\r\n")

    settings.NYLAS_API_URI, settings.NYLAS_API_KEY = serve(in_pieces).uri, "key-1"

    assert probe(2.0).condition is Condition.WELL


def test_answer_without_end_is_not_read_to_its_end(serve, settings):
    def without_end(line):
        line.read_request()
        line.write(CHUNKED)
        for _piece in range(1000):
            line.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    settings.NYLAS_API_URI, settings.NYLAS_API_KEY = serve(without_end).uri, "key-1"

    assert probe(2.0).condition is Condition.FOREIGN
