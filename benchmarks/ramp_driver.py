"""RAMP's own dispatcher on virtual time, beside `ec2_run`: a process that imports nothing of this project.

`python ramp_driver.py config.yml event.yml SUBMISSIONS SECONDS` prints JSON: EC2 calls, makespan and CPU in seconds.
One clock is moved by what takes time: a call to AWS, a command by ssh, a copy, a sleep. Left out, for our side has none
of it in this run either: ssh and rsync themselves, scores and leaderboards.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime as real_datetime
from datetime import timedelta

CALL, SSH, COPY, BOOT = 0.15, 0.5, 1.0, 90.0  # seconds, as on our side
POLL = 0.2  # seconds for each worker that its loop passes over; in truth it spins without a pause


class Clock:
    """Seconds since the beginning, and what happened when."""

    def __init__(self, seconds):
        self.now = 0.0
        self.seconds = seconds  # that a training takes
        self.calls = Counter()
        self.up = {}  # instance → when it has booted
        self.ends = {}  # submission → when its training is over
        self.asked = []

    def sleep(self, seconds):
        self.now += seconds or POLL

    def called(self, model, **_):
        """Before each call to AWS."""
        self.calls[model.name] += 1
        self.now += CALL

    def answered(self, parsed, model, **_):
        """After each: machines that still boot have no status yet."""
        if model.name == "RunInstances":
            self.up |= {each["InstanceId"]: self.now + BOOT for each in parsed["Instances"]}
        if model.name == "DescribeInstanceStatus":
            statuses = parsed["InstanceStatuses"]
            parsed["InstanceStatuses"] = [each for each in statuses if self.up[each["InstanceId"]] <= self.now]

    def ask(self, command, **_):
        """A command by ssh, and what it prints."""
        self.now += SSH
        if "instance-action" in command:
            return b"none"
        if "screen -ls" in command:
            name = command.split("grep ")[1].split("|")[0].strip()
            return b"1" if self.ends[name] > self.now else b"0"
        return b"2"  # so many folds, and files of each kind

    def call(self, command, **_):
        """A command by ssh or rsync, and its status."""
        if command.startswith("rsync"):
            self.now += COPY
            return 0
        self.now += SSH
        if "screen -dm" in command:
            self.ends[command.split("-S ")[1].split()[0]] = self.now + self.seconds
        return 0


def virtual_datetime(clock):
    """datetime, as RAMP asks it."""

    class Datetime(real_datetime):
        @classmethod
        def utcnow(cls):
            return real_datetime(2026, 1, 1) + timedelta(seconds=clock.now)

    return Datetime


def nothing(*_, **__):
    """In place of what is left out."""


def install(clock):
    """Put the clock where RAMP takes the time, and play its machines."""
    import boto3
    from ramp_engine import base, dispatcher

    made = boto3.session.Session

    def session(*args, **kwargs):
        new = made(*args, **kwargs)
        new.events.register("before-call.ec2", clock.called)
        new.events.register("after-call.ec2", clock.answered)
        return new

    boto3.session.Session = session
    time.sleep = clock.sleep
    base.datetime = virtual_datetime(clock)
    subprocess.call, subprocess.check_output = clock.call, clock.ask
    for name in ("set_time", "set_scores", "set_bagged_scores", "update_leaderboards", "update_all_user_leaderboards"):
        setattr(dispatcher, name, nothing)


def main(config, event, submissions, seconds):
    """Run until all are scored, and print."""
    from ramp_engine.aws.worker import AWSWorker
    from ramp_engine.dispatcher import Dispatcher

    clock = Clock(float(seconds))
    install(clock)
    dispatcher = Dispatcher(
        config, event, worker=AWSWorker, n_workers=int(submissions), hunger_policy="exit",
        time_between_collection=10,
    )  # fmt: skip
    dispatcher.launch()
    assert len(clock.ends) == int(submissions), clock.ends
    print(json.dumps({"calls": dict(clock.calls), "makespan": clock.now, "cpu": time.process_time()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
