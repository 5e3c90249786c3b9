"""The simulator's API in Flask + PostgreSQL, written to be measured beside MiniTwit: the same routes, statuses and texts, the same tables
and indexes. As gunicorn's, psycopg's and Flask's own pages advise: a worker keeps one connection in autocommit, one statement per
answer where one is enough, sessions and templates are not touched. `latest` is a file, as in the reference, shared by all workers.

    DSN=… LATEST=FILE gunicorn --workers 5 app:app        python3 app.py   makes the tables"""
import os
import time

import psycopg2
from flask import Flask, Response, jsonify, request
from werkzeug.security import generate_password_hash

CREDENTIAL = "Basic c2ltdWxhdG9yOnN1cGVyX3NhZmUh"
SCHEMA = """
CREATE TABLE "user"(user_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, username TEXT NOT NULL UNIQUE, email TEXT NOT NULL, pw_hash TEXT NOT NULL);
CREATE TABLE message(message_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, author_id BIGINT NOT NULL, text TEXT NOT NULL, pub_date BIGINT NOT NULL, flagged INT NOT NULL DEFAULT 0);
CREATE INDEX message_public ON message(pub_date DESC, message_id DESC) WHERE flagged = 0;
CREATE INDEX message_author ON message(author_id, pub_date DESC, message_id DESC) WHERE flagged = 0;
CREATE TABLE follower(follower_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who_id BIGINT NOT NULL, whom_id BIGINT NOT NULL, UNIQUE(who_id, whom_id));
CREATE INDEX follower_list ON follower(who_id, follower_id, whom_id);
"""
app = Flask(__name__)
app.json.sort_keys = False
connection = None
latest_fd = os.open(os.environ["LATEST"], os.O_RDWR | os.O_CREAT, 0o600)


def query(sql, *values):
    global connection
    if connection is None:  # after gunicorn's fork
        connection = psycopg2.connect(os.environ["DSN"])
        connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def error(status, message):
    return jsonify({"status": status, "error_msg": message}), status


@app.before_request
def before():
    latest = request.args.get("latest", type=int)
    if latest is not None and latest != -1:
        os.pwrite(latest_fd, b"%-20d" % latest, 0)
    if request.path not in ("/latest", "/register") and request.headers.get("Authorization") != CREDENTIAL:
        return error(403, "You are not authorized to use this resource!")
    return None


def count():
    n = request.args.get("no", default=100, type=int)
    return None if n < 0 else n  # LIMIT NULL: all


def user_id(name):
    found = query('SELECT user_id FROM "user" WHERE username = %s', name)
    return found[0][0] if found else None


def messages(rows):
    return jsonify([{"content": text, "pub_date": date, "user": user} for text, date, user in rows])


@app.get("/latest")
def latest():
    text = os.pread(latest_fd, 20, 0)
    return jsonify({"latest": int(text) if text else -1})


@app.post("/register")
def register():
    body = request.get_json()
    name, email, password = (body.get(k) for k in ("username", "email", "pwd"))
    fault = None
    if not name:
        fault = "You have to enter a username"
    elif not email or "@" not in email:
        fault = "You have to enter a valid email address"
    elif not password:
        fault = "You have to enter a password"
    elif user_id(name) is not None or not query(
        'INSERT INTO "user"(username, email, pw_hash) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING', name, email, generate_password_hash(password)
    ):
        fault = "The username is already taken"
    return error(400, fault) if fault else Response(status=204)


@app.get("/msgs")
def public():
    return messages(
        query(
            'SELECT m.text, m.pub_date, u.username FROM message m JOIN "user" u ON u.user_id = m.author_id WHERE m.flagged = 0'
            " ORDER BY m.pub_date DESC, m.message_id DESC LIMIT %s",
            count(),
        )
    )


@app.get("/msgs/<name>")
def by_user(name):
    user = user_id(name)
    if user is None:
        return error(404, "There is no such user")
    rows = query("SELECT text, pub_date FROM message WHERE author_id = %s AND flagged = 0 ORDER BY pub_date DESC, message_id DESC LIMIT %s", user, count())
    return messages((text, date, name) for text, date in rows)


@app.post("/msgs/<name>")
def add(name):
    text = request.get_json()["content"]
    if not query("INSERT INTO message(author_id, text, pub_date) SELECT user_id, %s, %s FROM \"user\" WHERE username = %s", text, int(time.time()), name):
        return error(404, "There is no such user")
    return Response(status=204)


@app.get("/fllws/<name>")
def follows(name):
    user = user_id(name)
    if user is None:
        return error(404, "There is no such user")
    rows = query('SELECT u.username FROM follower f JOIN "user" u ON u.user_id = f.whom_id WHERE f.who_id = %s ORDER BY f.follower_id LIMIT %s', user, count())
    return jsonify({"follows": [row[0] for row in rows]})


@app.post("/fllws/<name>")
def change(name):
    body = request.get_json()
    who, whom = user_id(name), user_id(body.get("follow") or body["unfollow"])
    if who is None or whom is None:
        return error(404, "There is no such user")
    if "follow" in body:
        query("INSERT INTO follower(who_id, whom_id) VALUES (%s, %s) ON CONFLICT DO NOTHING", who, whom)
    else:
        query("DELETE FROM follower WHERE who_id = %s AND whom_id = %s", who, whom)
    return Response(status=204)


if __name__ == "__main__":
    query(SCHEMA)
