"""Work on hostile input that must end."""

import contextlib
import signal


@contextlib.contextmanager
def bounded(seconds):
    """An error where the work inside does not end in time."""

    def hung(signum, frame):
        raise TimeoutError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
