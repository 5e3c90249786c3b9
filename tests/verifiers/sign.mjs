// sign.mjs GITHUB-SECRET STANDARD-SECRET: for each example of @octokit/webhooks-examples two lines of JSON: as GitHub's own library
// signs it and as that of Standard Webhooks does, with what each says of a body in which one byte was changed; and as OpenSSL signs it with
// an Ed25519 key of this run (Standard Webhooks' v1a).
import { readdirSync, readFileSync } from "node:fs";
import { generateKeyPairSync, sign as signWith } from "node:crypto";
import { Webhooks } from "@octokit/webhooks";
import { Webhook } from "standardwebhooks";

const [githubSecret, standardSecret] = process.argv.slice(2);
const examples = new URL("node_modules/@octokit/webhooks-examples/", import.meta.url);
const github = new Webhooks({ secret: githubSecret });
const standard = new Webhook(standardSecret);
const own = generateKeyPairSync("ed25519");
const publicKey = "whpk_" + own.publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("base64");

function changed(body, n) {
  const at = n % body.length;
  return body.slice(0, at) + (body[at] === "x" ? "y" : "x") + body.slice(at + 1);
}

function throws(check) {
  try {
    check();
    return false;
  } catch {
    return true;
  }
}

let n = 0;
for (const folder of readdirSync(examples, { withFileTypes: true }).filter((d) => d.isDirectory())) {
  const index = JSON.parse(readFileSync(new URL(folder.name + "/index.json", examples)));
  for (const { name, examples: payloads } of index) {
    for (const payload of payloads) {
      // only ASCII, so that a character is a byte
      const body = JSON.stringify(payload).replace(/[\u007f-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
      const other = changed(body, 7919 * ++n);
      const id = "example-" + n;
      const signature = await github.sign(body);
      const now = new Date();
      const headers = {
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
        "webhook-signature": standard.sign(id, now, body),
      };
      const agree = {
        github: (await github.verify(body, signature)) && !(await github.verify(other, signature)),
        standard: !throws(() => standard.verify(body, headers)) && throws(() => standard.verify(other, headers)),
      };
      // the library has no v1a; what it signs is the same text
      const v1a = "v1a," + signWith(null, Buffer.from(`${id}.${headers["webhook-timestamp"]}.${body}`), own.privateKey).toString("base64");
      const asymmetric = { ...headers, "webhook-signature": v1a };
      console.log(JSON.stringify({ publicKey, asymmetric, name, body, other, agree, github: { "X-GitHub-Event": name, "X-GitHub-Delivery": id, "X-Hub-Signature-256": signature }, standard: headers }));
    }
  }
}
