"""The documents' receiver, written to be measured beside ours: Flask under gunicorn, PostgreSQL, Celery over RabbitMQ. A delivery is verified
over the raw body in constant time, inserted once by its id and committed (fsync=on), handed to Celery with the broker's confirmation,
and answered then; the worker does with it what there is to do: it marks it. Tuned as their own pages say: gunicorn's workers (2 × processors
+ 1) with threads, so that connections are kept; a connection of psycopg per thread in autocommit, one statement; persistent
messages, no results, prefetching for short tasks.

    BROKER=amqp://… DSN=… SECRET=… gunicorn documents:app        python3 -m celery -A documents:queue worker        python3 documents.py   makes the table"""
import hashlib
import hmac
import json
import os
import threading

import psycopg2
from celery import Celery
from flask import Flask, request

SCHEMA = "CREATE TABLE delivery(n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id TEXT NOT NULL UNIQUE, ref TEXT, body BYTEA NOT NULL, done BOOLEAN NOT NULL DEFAULT FALSE)"
SECRET = os.environ["SECRET"].encode()
app = Flask(__name__)
queue = Celery("documents", broker=os.environ["BROKER"])
queue.conf.update(
    task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=128, broker_pool_limit=int(os.environ.get("THREADS", 10)), broker_transport_options={"confirm_publish": True},
    worker_send_task_events=False, worker_hijack_root_logger=False,
)
own = threading.local()


def query(sql, *values):
    if not hasattr(own, "connection"):  # of this thread, after the fork
        own.connection = psycopg2.connect(os.environ["DSN"])
        own.connection.autocommit = True
    with own.connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else None


@queue.task
def process(number):
    query("UPDATE delivery SET done = TRUE WHERE n = %s", number)


@app.post("/")
def receive():
    body = request.get_data(cache=False)
    want = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(want, request.headers.get("X-Hub-Signature-256", "")):
        return "", 401
    try:
        ref = json.loads(body)["ref"]
    except (ValueError, KeyError):
        return "", 400
    made = query("INSERT INTO delivery(id, ref, body) VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING RETURNING n", request.headers.get("X-GitHub-Delivery", ""), ref, psycopg2.Binary(body))
    if not made:
        return "", 200
    process.delay(made[0][0])
    return "", 202


if __name__ == "__main__":
    query(SCHEMA)
