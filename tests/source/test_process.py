"""Claims are told by processes: a dead one on this computer is known to be dead, and nobody else is."""

import subprocess
import sys

from reconciler.process import is_dead, this_process

NAME = "from reconciler.process import this_process; print(this_process(), flush=True); input()"


def test_a_process_is_alive_until_it_ends() -> None:
    child = subprocess.Popen([sys.executable, "-c", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    assert not is_dead(name)
    child.kill()
    child.wait()
    assert is_dead(name)


def test_this_process_lives_and_is_never_named_twice() -> None:
    assert not is_dead(this_process())
    assert this_process() != this_process()


def test_another_process_of_the_same_pid_is_another() -> None:
    node, boot, pid, started, chance = this_process().split("/")
    assert is_dead(f"{node}/{boot}/{pid}/{int(started) - 1}/{chance}")
    assert is_dead(f"{node}/another-boot/{pid}/{started}/{chance}")


def test_what_cannot_be_known_counts_as_alive() -> None:
    _, boot, pid, started, chance = this_process().split("/")
    assert not is_dead(f"elsewhere/{boot}/{pid}/{started}/{chance}")
    assert not is_dead("nonsense")
