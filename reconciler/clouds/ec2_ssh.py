"""The way into a machine of EC2: SSH by its settings, with its host key from its own console where that tells it."""

from base64 import b64decode
from collections.abc import Sequence

from reconciler.clouds.base import CloudError, Here
from reconciler.clouds.ec2_account import Account
from reconciler.hosts.base import Host
from reconciler.model.job import Guard
from reconciler.model.offer import Machine
from reconciler.spec.options import Ec2Cloud

# What cloud-init prints to the console at the first boot, around lines of `algorithm base64 comment`.
_BEGIN, _END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"


def ssh_host(machine: Machine, options: Ec2Cloud, here: Here, account: Account) -> Host:
    """A host over SSH. One that we bought gets a watch; one that we did not is marked as ours instead."""
    from reconciler.hosts.agent import AgentHost
    from reconciler.hosts.ssh import SshTransport
    from reconciler.hosts.ssh_way import Way

    way = Way(
        address=machine.address, port=options.port, user=options.user, key_path=options.key_path,
        via=options.via or "", known_hosts=options.known_hosts, host_key=machine.host_key,
    )  # fmt: skip

    async def trusted() -> Sequence[str]:
        return await console_keys(account, machine.cloud_id)

    transport = SshTransport(way, handshakes=here.handshakes, trusted=trusted)
    if machine.adopted:
        return AgentHost(transport, claim=f"{here.owner.controller} {here.owner.database_id}")
    guard = Guard(lease=options.lease, keep_results=options.keep_results, metadata=options.metadata)
    return AgentHost(transport, guard=guard)


async def console_keys(account: Account, cloud_id: str) -> Sequence[str]:
    """The host keys that a machine's console tells, none while it tells none: it lags minutes behind, or we may not."""
    try:
        answer = await account.call("get_console_output", InstanceId=cloud_id)
    except CloudError:
        return ()
    return keys_in(decoded(answer.get("Output", "")))


def decoded(output: str) -> str:
    """The console's text. boto3 decodes it by itself, unless it does not look like base64."""
    if _BEGIN in output or not output:
        return output
    try:
        return b64decode(output, validate=True).decode(errors="replace")
    except ValueError:
        return output


def keys_in(console: str) -> tuple[str, ...]:
    """`algorithm base64` of each key that a console's last boot printed."""
    _, found, rest = console.rpartition(_BEGIN)
    inside, closed, _ = rest.partition(_END)
    if not (found and closed):
        return ()
    words = (line.split() for line in inside.splitlines())
    # A console may put something in front of each line, such as `[   12.3] cloud-init[1]: `.
    pairs = ((row[k], row[k + 1]) for row in words for k in range(len(row) - 1) if _is_algorithm(row[k]))
    return tuple(f"{algorithm} {key}" for algorithm, key in pairs)


def _is_algorithm(word: str) -> bool:
    return word.startswith(("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"))
