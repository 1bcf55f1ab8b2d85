"""A view asks for much at once, for nothing twice, and believes nothing for longer than it may."""

from pole.chain.view import Call, Look, View

A, B, C = (Call("0x" + "11" * 20, bytes([number])) for number in range(3))


class Chain:
    """Answers every call with its data and the number of the block."""

    def __init__(self) -> None:
        self.asked: list[list[Call]] = []
        self.block, self.now_s = 7, 0.0

    def ask(self, calls: list[Call]) -> Look:
        self.asked.append(calls)
        return Look(self.block, 100 * self.block, [(call != C, call.data + bytes([self.block])) for call in calls])

    def view(self) -> View:
        view = View(self.ask, lambda: 10.0, lambda: self.now_s)
        view.begin()
        return view


def test_read__again_in_a_pass__asks_once() -> None:
    chain = Chain()
    view = chain.view()
    assert [view.read(A), view.read(A), view.read(C)] == [
        (True, b"\x00\x07"),
        (True, b"\x00\x07"),
        (False, b"\x02\x07"),
    ]
    assert view.head() == (7, 700)
    assert chain.asked == [[A], [C]]


def test_read__next_pass__asks_at_once_for_what_the_last_one_read() -> None:
    chain = Chain()
    view = chain.view()
    for call in (A, B, C):
        view.read(call)
    chain.asked.clear()
    view.begin()
    chain.block = 8
    assert [view.read(B), view.read(A), view.head()] == [(True, b"\x01\x08"), (True, b"\x00\x08"), (8, 800)]
    assert chain.asked == [[A, B, C]]


def test_begin__what_no_pass_reads_any_more__is_not_asked_for() -> None:
    chain = Chain()
    view = chain.view()
    view.read(A)
    for _ in range(4):
        view.begin()
        view.read(B)
    assert chain.asked[-1] == [B]


def test_expect__what_is_to_be_read__comes_with_the_first() -> None:
    chain = Chain()
    view = chain.view()
    view.expect([B, C])
    view.read(A)
    view.read(B)
    assert chain.asked == [[B, C, A]]


def test_read__after_a_change_or_too_late__asks_anew() -> None:
    chain = Chain()
    view = chain.view()
    view.read(A)
    chain.block = 8
    view.forget()
    assert view.read(A) == (True, b"\x00\x08")
    chain.block, chain.now_s = 9, 11.0
    assert view.read(A) == (True, b"\x00\x09")
    assert view.head() == (9, 900)


def test_read__more_than_a_node_may_be_asked__in_pieces() -> None:
    chain = Chain()
    view = chain.view()
    many = [Call("0x" + "22" * 20, number.to_bytes(2)) for number in range(250)]
    view.expect(many)
    assert view.read(many[-1])[0]
    assert [len(calls) for calls in chain.asked] == [100, 100, 50]
