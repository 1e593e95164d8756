"""Files that people write: config.yml and pool spec files, read into frozen values, with errors that say where."""
