"""RAMP's files as tests need them: those printed in its documents, and how they are read here."""

from pathlib import Path

from reconciler.compat.ramp_config import RampDeployment, read

FILES = Path(__file__).parent / "files"
CWD = Path("/srv/ramp")  # where RAMP would have been started
SEEDS = {  # what is read together, as people name it
    "the aws section alone": ("seed_000.yml",),
    "aws by image id": ("seed_001_id.yml",),
    "aws by image name": ("seed_001_name.yml",),
    "aws worker alone": ("seed_002.yml",),
    "aws worker and database": ("database.yml", "seed_002.yml"),
    "aws section and database": ("seed_000.yml", "database.yml"),
    "conda worker and database": ("database.yml", "conda.yml"),
    "conda worker alone": ("conda.yml",),
}

SQLALCHEMY = "sqlalchemy: {drivername: postgresql, username: me, password: x, host: db, port: 5432, database: ramp}\n"
RAMP = "ramp:\n  event_name: iris\n  problem_name: iris\n"
AWS = "aws:\n  ami_image_id: ami-0bc19972\n  instance_type: t2.micro\n  remote_ramp_kit_folder: ~/iris\n"
WORKER = AWS.replace("aws:", "worker:\n  worker_type: aws")
CONDA = "worker:\n  worker_type: conda\n  conda_env: ramp-iris\n"


def region(_profile: str | None) -> str:
    """A region that boto3's chain might have found."""
    return "eu-west-1"


def read_seed(*names: str) -> RampDeployment:
    """Files of the `files` folder, read as one event on a computer of four CPUs."""
    return read(*(FILES / name for name in names), cwd=CWD, region=region, cpus=4)


def read_text(folder: Path, text: str, name: str = "config.yml") -> RampDeployment:
    """A config file of that text, read likewise."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return read(folder / name, cwd=CWD, region=region, cpus=4)
