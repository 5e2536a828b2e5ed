"""Runs a step again when a human has approved what was refused in it. Without a gateway nothing is ever refused."""

import contextlib
import io
import os
import subprocess
import sys


def approved(step, *args, **more):
    for _ in range(12):
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                step(*args, **more)
        except Exception as error:
            if "approval-needed" not in str(error) or "KILLICK_APPROVE" not in os.environ:
                raise
            print("approved:", str(error).splitlines()[0], file=sys.stderr)
            subprocess.run([os.environ["KILLICK_APPROVE"]], check=True)
            continue
        sys.stdout.write(out.getvalue())
        return
    raise RuntimeError("refused again and again")
