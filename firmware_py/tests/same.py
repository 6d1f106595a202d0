"""What unit tests say: equality with both sides in the message, and that something raises."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def same(found: object, wanted: object) -> None:
    """Fail unless both are equal."""
    if found != wanted:
        raise AssertionError(repr(found) + " is not " + repr(wanted))


def raises(kind: type[BaseException], text: str, call: "Callable[[], object]") -> None:
    """Fail unless a call raises an error of a kind whose message contains a text."""
    try:
        call()
    except kind as error:
        if text not in str(error):
            raise AssertionError(repr(str(error)) + " lacks " + repr(text)) from error
        return
    raise AssertionError("nothing was raised")
