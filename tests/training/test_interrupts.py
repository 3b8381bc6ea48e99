"""Signals between steps: the first is collected, the second of a kind stops at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from tscl.training.checkpoint import forwarded, interrupt_between_steps


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_of_a_kind_raises_and_handlers_come_back(kind):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), interrupt_between_steps() as asked:
        os.kill(os.getpid(), kind)
        assert asked == [kind]
        os.kill(os.getpid(), kind)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_signals_stay_as_they_are():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with interrupt_between_steps() as asked:
            seen.append((list(asked), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [([], before)]


def test_signals_are_passed_on_and_a_process_that_is_gone_is_no_error():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    child = subprocess.Popen(waits, stdin=subprocess.PIPE)
    with forwarded([gone.pid, child.pid]):
        os.kill(os.getpid(), signal.SIGINT)
    child.communicate()  # without a signal it ends here, with 0
    assert child.returncode == -signal.SIGTERM
