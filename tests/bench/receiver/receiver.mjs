// receiver SECRET sqlite|log FOLDER: the same hook in Node, tuned, as one would write it: GitHub's signature over the raw body in constant
// time, a delivery once by its id, and an answer only when it is durable. What comes while one group is made durable is the next group.
// sqlite: one transaction a group (WAL, synchronous=FULL). log: appended, one fdatasync a group, and the ids in memory.
// Prints its port.
import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";

const [secret, kind, folder] = process.argv.slice(2);
let pending = [];

function verified(request, body) {
  const want = crypto.createHmac("sha256", secret).update(body).digest();
  const got = Buffer.from((request.headers["x-hub-signature-256"] ?? "").slice("sha256=".length), "hex");
  return got.length === want.length && crypto.timingSafeEqual(got, want);
}

function answer(response, status) {
  response.writeHead(status, { "Content-Length": 0 });
  response.end();
}

async function sqlite() {
  const { default: Database } = await import("better-sqlite3");
  const db = new Database(folder + "/receiver.db");
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.exec("CREATE TABLE delivery(n INTEGER PRIMARY KEY, id TEXT UNIQUE, ref TEXT, body BLOB)");
  const insert = db.prepare("INSERT OR IGNORE INTO delivery(id, ref, body) VALUES (?, ?, ?)");
  const all = db.transaction((group) => group.map((d) => insert.run(d.id, d.ref, d.body).changes));
  return () => {
    setImmediate(() => {
      const group = pending;
      pending = [];
      const fresh = all(group);
      group.forEach((d, i) => answer(d.response, fresh[i] ? 202 : 200));
    });
  };
}

async function log() {
  const fd = fs.openSync(folder + "/receiver.log", "w");
  const known = new Set();
  let busy = false;
  const write = () => {
    const group = pending.filter((d) => !known.has(d.id));
    pending.filter((d) => known.has(d.id)).forEach((d) => answer(d.response, 200));
    pending = [];
    if (group.length === 0) return;
    busy = true;
    group.forEach((d) => known.add(d.id));
    fs.writev(fd, group.flatMap((d) => [Buffer.from(`${d.id} ${d.body.length}\n`), d.body]), (failed) => {
      if (failed) throw failed;
      fs.fdatasync(fd, (unsynced) => {
        if (unsynced) throw unsynced;
        busy = false;
        group.forEach((d) => answer(d.response, 202));
        write();
      });
    });
  };
  return () => setImmediate(() => busy || write());
}

const go = await (kind === "sqlite" ? sqlite() : log());

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    if (!verified(request, body)) return answer(response, 401);
    let push;
    try {
      push = JSON.parse(body);
    } catch {
      return answer(response, 400);
    }
    pending.push({ response, body, id: request.headers["x-github-delivery"], ref: push.ref });
    if (pending.length === 1) go();
  });
});
server.keepAliveTimeout = 60000;
server.listen(0, "127.0.0.1", 1024, () => console.log(server.address().port));
