"""Celery with its prefork pool: the worker's application, and, as a program, who sends it tasks.

`celery_peer.py <tasks> <calls>` prints how long each took as JSON: `fanOutMs`, from the first `apply_async` to the last
output, and `callsMs`, one awaited call after another. The broker and the results are in the Redis of `REDIS_URL`.
"""

import json
import os
import sys
import time

from celery import Celery, group

app = Celery("celery_peer", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=False, broker_connection_retry_on_startup=True)


@app.task(name="noop")
def noop(n: int) -> int:
    return n


def main(tasks: int, calls: int) -> None:
    noop.delay(0).get(timeout=30)
    start = time.perf_counter()
    outputs = group(noop.s(n) for n in range(tasks)).apply_async().get(timeout=120)
    fan_out_ms = (time.perf_counter() - start) * 1000
    assert sum(outputs) == tasks * (tasks - 1) // 2
    times = []
    for n in range(calls):
        begin = time.perf_counter()
        noop.delay(n).get(timeout=30)
        times.append((time.perf_counter() - begin) * 1000)
    print(json.dumps({"fanOutMs": fan_out_ms, "callsMs": times}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
