"""RAMP's own dispatcher beside ours: its site, and its two files.

ramp-engine is not installed beside us: its `ramp-launch` has the name of ours. RECONCILER_RAMP_ENGINE names a folder
that holds it: `pip install --no-deps --target FOLDER ramp-engine==0.10.1`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from tests.ec2.control import KEYS, REGION, Ec2
from tests.rampdb.site import EVENT, Site, build

ENGINE = os.environ.get("RECONCILER_RAMP_ENGINE", "")
HOW = "not measured here: pip install --no-deps --target FOLDER ramp-engine==0.10.1, and RECONCILER_RAMP_ENGINE=FOLDER"
GROUP = "ramp"

CONFIG = """\
sqlalchemy: {{drivername: sqlite, username: null, password: null, host: null, port: null, database: {database}}}
"""
EVENT_CONFIG = """\
ramp:
  problem_name: iris
  event_name: {event}
  event_title: Iris
  event_is_public: true
  kit_dir: {folder}/kit
  data_dir: {folder}/kit
  submissions_dir: {folder}/submissions
  predictions_dir: {folder}/predictions
  logs_dir: {folder}/logs
worker:
  worker_type: aws
  access_key_id: {key}
  secret_access_key: {secret}
  region_name: {region}
  ami_image_name: iris_backend
  ami_user_name: ubuntu
  instance_type: t3.micro
  key_name: tests
  security_group: {group}
  key_path: {key_path}
  remote_ramp_kit_folder: /home/ubuntu/kit
  memory_profiling: false
dispatcher:
  n_workers: {workers}
  hunger_policy: exit
  time_between_collection: {between}
"""


@frozen
class Ramp:
    """A RAMP site with submissions."""

    site: Site

    @property
    def files(self) -> Sequence[str]:
        """Where its database is; its event and worker."""
        return str(self.site.folder / "config.yml"), str(self.site.folder / "event.yml")


def prepared(ec2: Ec2, folder: Path, submissions: int, *, between: int) -> Ramp:
    """A site with so many new submissions, and an account that RAMP can buy in; it looks every `between` seconds."""
    open_account(ec2, public=True)
    return handed_in(folder, submissions, between=between)


def handed_in(folder: Path, submissions: int, *, between: int) -> Ramp:
    """The site alone. All of it lies in the folder, where `key.pem` is to be."""
    folder.mkdir(parents=True)
    site = build(f"sqlite:///{folder}/ramp.db", folder / "site")
    for number in range(submissions):
        site.submit("alpha", f"work_{number}")
    ramp = Ramp(site)
    config, event = map(Path, ramp.files)
    config.write_text(CONFIG.format(database=folder / "ramp.db"), encoding="utf-8")
    text = EVENT_CONFIG.format(
        event=EVENT, folder=site.folder, key=KEYS["AWS_ACCESS_KEY_ID"], secret=KEYS["AWS_SECRET_ACCESS_KEY"],
        region=REGION, group=GROUP, key_path=folder / "key.pem", workers=submissions, between=between,
    )  # fmt: skip
    event.write_text(text, encoding="utf-8")
    return ramp


def open_account(ec2: Ec2, *, public: bool) -> None:
    """What an organiser has in theirs. RAMP reaches machines by public addresses alone, and here those lead nowhere."""
    client = ec2.client()
    try:
        ec2.image()
        client.create_key_pair(KeyName="tests")
        client.create_security_group(GroupName=GROUP, Description="RAMP's")
        client.modify_subnet_attribute(SubnetId=ec2.subnet(), MapPublicIpOnLaunch={"Value": public})
    finally:
        client.close()


def environment(ec2: Ec2) -> dict[str, str]:
    """What a process needs to take the EC2 of tests for Amazon's."""
    return os.environ | KEYS | {"AWS_ENDPOINT_URL": ec2.url, "AWS_DEFAULT_REGION": REGION, "PYTHONPATH": ENGINE}
