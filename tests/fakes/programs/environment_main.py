"""Makes an environment as `deployer.local.environments` does: `environment_main.py NAME LOCK ROOT`."""

import sys
from pathlib import Path

from deployer.errors import TurnoutError
from deployer.local.environments import environment

try:
    print(environment(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
except TurnoutError as error:
    sys.exit(f"error: {error}")
except KeyboardInterrupt:
    sys.exit("interrupted")
