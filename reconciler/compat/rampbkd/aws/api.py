"""`rampbkd.aws.api`, where ramp-backend kept its functions: the same twelve names as its own `__all__`."""

from reconciler.compat.rampbkd import (
    abort_training,
    download_log,
    download_predictions,
    launch_ec2_instance_and_train,
    launch_ec2_instances,
    launch_train,
    list_ec2_instance_ids,
    status_of_ec2_instance,
    terminate_ec2_instance,
    train_loop,
    train_on_existing_ec2_instance,
    upload_submission,
)

__all__ = [
    "abort_training",
    "download_log",
    "download_predictions",
    "launch_ec2_instance_and_train",
    "launch_ec2_instances",
    "launch_train",
    "list_ec2_instance_ids",
    "status_of_ec2_instance",
    "terminate_ec2_instance",
    "train_loop",
    "train_on_existing_ec2_instance",
    "upload_submission",
]
