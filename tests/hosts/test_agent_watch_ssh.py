"""The watch where it belongs: on a machine that is reached by a real sshd, as a user who may not be root."""

from reconciler.hosts.agent import AgentHost
from reconciler.model.job import Guard, Watch
from tests.hosts.machines import run, ssh_transport
from tests.machines.sshd import machine, need_machines

# As long as no test lasts: this user may be allowed to shut down the computer that runs the tests.
GUARD = Guard(lease=86400, keep_results=86400)


def test_the_watch_outlives_the_connection_that_armed_it() -> None:
    need_machines()
    with machine() as there:
        host = AgentHost(ssh_transport(there), guard=GUARD)
        file = there.home / ".reconciler/watch"

        async def story() -> None:
            # The command that arms it ends, although the watch goes on.
            await host.install()
            armed = file.read_text()
            await host.close()
            there.drop_connections()
            again = AgentHost(ssh_transport(there), guard=GUARD)
            report = await again.report()
            assert report.watch is not Watch.NONE
            assert report.watch.value == armed.split()[0]
            if report.watch is Watch.ARMED:
                await again.install()
                assert file.read_text() == armed
            await again.close()

        run(story())


def test_after_a_reboot_the_watch_is_armed_anew() -> None:
    need_machines()
    with machine() as there:
        host = AgentHost(ssh_transport(there), guard=GUARD)
        run(host.install())
        run(host.close())
        there.reboot()
        host = AgentHost(ssh_transport(there), guard=GUARD)
        assert run(host.report()).watch is Watch.NONE
        run(host.install())
        assert run(host.report()).watch is not Watch.NONE
        run(host.close())
