"""`rampbkd.aws`, a folder of ramp-backend's: its functions are in `api`."""
