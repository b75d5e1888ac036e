"""The commands of `turnout`, one file a subject; `deployer/cli.py` gathers them."""
