// The simulator's API in Node + SQLite, written to be measured beside MiniTwit: the same routes, statuses and texts, the same tables and
// indexes. As better-sqlite3's and Node's own pages advise: a cluster of workers on one port, WAL, statements prepared once, no
// framework; synchronous=NORMAL as better-sqlite3 has it (what was answered may be gone after a power cut) or, as SYNCHRONOUS says, FULL,
// which promises what the others promise. Passwords are hashed by scrypt in libuv's pool. `latest` is a file shared by all workers.
//
//     PORT=… DATABASE=FILE LATEST=FILE WORKERS=2 node server.js
'use strict';
const cluster = require('cluster');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const Database = require('better-sqlite3');

const CREDENTIAL = 'Basic c2ltdWxhdG9yOnN1cGVyX3NhZmUh';
const SCHEMA = `
CREATE TABLE IF NOT EXISTS user(user_id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, email TEXT NOT NULL, pw_hash TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS message(message_id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL, text TEXT NOT NULL, pub_date INTEGER NOT NULL, flagged INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX IF NOT EXISTS message_public ON message(pub_date DESC, message_id DESC) WHERE flagged = 0;
CREATE INDEX IF NOT EXISTS message_author ON message(author_id, pub_date DESC, message_id DESC) WHERE flagged = 0;
CREATE TABLE IF NOT EXISTS follower(follower_id INTEGER PRIMARY KEY, who_id INTEGER NOT NULL, whom_id INTEGER NOT NULL, UNIQUE(who_id, whom_id)) STRICT;
CREATE INDEX IF NOT EXISTS follower_list ON follower(who_id, follower_id, whom_id);`;

function open() {
  const db = new Database(process.env.DATABASE, { timeout: 10000 });
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = ' + (process.env.SYNCHRONOUS || 'NORMAL'));
  db.pragma('cache_size = -16000');
  db.pragma('mmap_size = 268435456');
  return db;
}

if (cluster.isPrimary) {
  open().exec(SCHEMA);
  for (let i = 0; i < Number(process.env.WORKERS || 2); i++) cluster.fork();
  process.on('SIGTERM', () => process.exit(0));
} else {
  const db = open();
  const q = {
    user: db.prepare('SELECT user_id FROM user WHERE username = ?').pluck(),
    register: db.prepare('INSERT INTO user(username, email, pw_hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING'),
    all: db.prepare('SELECT m.text AS content, m.pub_date, u.username AS user FROM message m JOIN user u ON u.user_id = m.author_id WHERE m.flagged = 0 ORDER BY m.pub_date DESC, m.message_id DESC LIMIT ?'),
    byUser: db.prepare('SELECT text AS content, pub_date, ? AS user FROM message WHERE author_id = ? AND flagged = 0 ORDER BY pub_date DESC, message_id DESC LIMIT ?'),
    add: db.prepare('INSERT INTO message(author_id, text, pub_date) SELECT user_id, ?, unixepoch() FROM user WHERE username = ?'),
    follows: db.prepare('SELECT u.username FROM follower f JOIN user u ON u.user_id = f.whom_id WHERE f.who_id = ? ORDER BY f.follower_id LIMIT ?').pluck(),
    follow: db.prepare('INSERT INTO follower(who_id, whom_id) VALUES (?, ?) ON CONFLICT DO NOTHING'),
    unfollow: db.prepare('DELETE FROM follower WHERE who_id = ? AND whom_id = ?'),
  };
  const latestFd = fs.openSync(process.env.LATEST, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);

  const send = (res, status, value) => {
    if (value === undefined) return res.writeHead(status).end();
    const body = JSON.stringify(value);
    res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }).end(body);
  };
  const fail = (res, status, message) => send(res, status, { status, error_msg: message });
  const nobody = (res) => fail(res, 404, 'There is no such user');

  function register(res, { username, email, pwd }) {
    if (!username) return fail(res, 400, 'You have to enter a username');
    if (!email || !email.includes('@')) return fail(res, 400, 'You have to enter a valid email address');
    if (!pwd) return fail(res, 400, 'You have to enter a password');
    if (q.user.get(username) !== undefined) return fail(res, 400, 'The username is already taken');
    const salt = crypto.randomBytes(16);
    crypto.scrypt(pwd, salt, 64, { N: 32768, r: 8, p: 1, maxmem: 64 << 20 }, (error, key) => {
      if (error) return fail(res, 500, error.message);
      const made = q.register.run(username, email, `scrypt:32768:8:1$${salt.toString('hex')}$${key.toString('hex')}`);
      return made.changes ? send(res, 204) : fail(res, 400, 'The username is already taken');
    });
  }

  function write(req, res, url, name, text) {
    let body;
    try {
      body = JSON.parse(text);
    } catch (error) {
      return fail(res, 400, error.message);
    }
    if (url.pathname === '/register') return register(res, body);
    if (url.pathname.startsWith('/msgs/')) return q.add.run(body.content, name).changes ? send(res, 204) : nobody(res);
    const who = q.user.get(name);
    const whom = q.user.get(body.follow || body.unfollow);
    if (who === undefined || whom === undefined) return nobody(res);
    (body.follow ? q.follow : q.unfollow).run(who, whom);
    return send(res, 204);
  }

  function read(res, url, name, count) {
    if (url.pathname === '/msgs') return send(res, 200, q.all.all(count));
    const user = q.user.get(name);
    if (user === undefined) return nobody(res);
    if (url.pathname.startsWith('/msgs/')) return send(res, 200, q.byUser.all(name, user, count));
    return send(res, 200, { follows: q.follows.all(user, count) });
  }

  const server = http.createServer((req, res) => {
    const url = new URL(req.url, 'http://x');
    const latest = url.searchParams.get('latest');
    if (latest !== null && Number.isInteger(Number(latest)) && latest !== '-1') fs.writeSync(latestFd, latest.padEnd(20), 0);
    if (url.pathname === '/latest') {
      const text = Buffer.alloc(20);
      return send(res, 200, { latest: fs.readSync(latestFd, text, 0, 20, 0) ? Number(text.toString()) : -1 });
    }
    if (url.pathname !== '/register' && req.headers.authorization !== CREDENTIAL) return fail(res, 403, 'You are not authorized to use this resource!');
    const name = decodeURIComponent(url.pathname.split('/')[2] || '');
    const no = Number(url.searchParams.get('no') ?? 100);
    if (req.method === 'GET') return read(res, url, name, Number.isInteger(no) ? no : 100);
    const parts = [];
    return req.on('data', (d) => parts.push(d)).on('end', () => write(req, res, url, name, Buffer.concat(parts).toString()));
  });
  server.keepAliveTimeout = 60000;
  server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 1024 });
}
