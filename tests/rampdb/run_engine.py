"""Runs ramp-engine's own dispatcher with its CondaEnvWorker until nothing waits; a program for test_engine.py."""

import sys
import warnings

warnings.simplefilter("ignore")

from ramp_engine.dispatcher import Dispatcher  # noqa: E402
from ramp_engine.local import CondaEnvWorker  # noqa: E402

Dispatcher(
    config=sys.argv[1], event_config=sys.argv[1], worker=CondaEnvWorker, n_workers=2, hunger_policy="exit"
).launch()
