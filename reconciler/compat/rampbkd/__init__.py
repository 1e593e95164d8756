"""rampbkd's Python, for programs that were written for it: the import line is the one thing that changes.

    from reconciler.compat.rampbkd.config import read_backend_config
    from reconciler.compat.rampbkd import launch_ec2_instance_and_train

    launch_ec2_instance_and_train(read_backend_config("config.yml"), submission_id)

What ramp-backend's documents say of each function holds here; docs/ramp.md tells the differences. A failure is an
exception: RequestError for what cannot be done, SpecError for a wrong file, and those of clouds and hosts.
"""

from reconciler.compat.rampbkd.config import BackendConfig, read_backend_config
from reconciler.compat.rampbkd.instances import (
    Ec2Instance,
    launch_ec2_instances,
    list_ec2_instance_ids,
    release_ec2_instance,
    status_of_ec2_instance,
    terminate_ec2_instance,
)
from reconciler.compat.rampbkd.jobs import (
    abort_training,
    download_log,
    download_predictions,
    launch_train,
    upload_submission,
)
from reconciler.compat.rampbkd.pipeline import (
    launch_ec2_instance_and_train,
    train_loop,
    train_on_existing_ec2_instance,
)

__all__ = [
    "BackendConfig",
    "Ec2Instance",
    "abort_training",
    "download_log",
    "download_predictions",
    "launch_ec2_instance_and_train",
    "launch_ec2_instances",
    "launch_train",
    "list_ec2_instance_ids",
    "read_backend_config",
    "release_ec2_instance",
    "status_of_ec2_instance",
    "terminate_ec2_instance",
    "train_loop",
    "train_on_existing_ec2_instance",
    "upload_submission",
]
