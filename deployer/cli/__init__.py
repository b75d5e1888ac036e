"""The commands of `turnout`, one file a subject; `deployer/cli/main.py` gathers them."""
