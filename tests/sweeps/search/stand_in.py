"""In place of run.py: writes in no time what a run writes. Its score is best at x = .3; `does` says what else happens.

It imports nothing of the project, so that a trial takes as long as Python needs to start.
"""

import json
import math
import os
import sys
import time
from pathlib import Path


def main():
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    path = Path(given.pop("hydra.run.dir").strip("'"))
    path.mkdir(parents=True, exist_ok="MALARIA_EXP_MAY_RESUME" in os.environ)
    x, does, epochs = float(given.get("x", 0.3)), given.get("does", "run"), int(given.get("epochs", 2))
    overrides = [f"{key}={value}" for key, value in given.items()]

    def status(state, **more):
        # As run.py does: whoever reads it never sees half of it.
        (path / "new").write_text(json.dumps({"status": state, "overrides": overrides, "seconds": 0.1, **more}))
        (path / "new").replace(path / "status.json")

    status("running")
    if does == "fail":
        status("failed", reason="it was told to")
        sys.exit(1)
    if does == "die":
        sys.exit(7)
    try:
        with (path / "history.csv").open("w") as history:
            print("epoch,val_auc", file=history, flush=True)
            for epoch in range(1, epochs + 1):
                value = math.nan if does == "blank" else (1 - (x - 0.3) ** 2) * epoch / epochs
                print(f"{epoch},{value}", file=history, flush=True)
                time.sleep(float(given.get("seconds", 0)))
    except KeyboardInterrupt:
        status("interrupted", reason="stopped by Ctrl-C or a signal")
        sys.exit(130)
    status("done", objective=0.5)


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
