// openapi.mjs: lines of JSON {method, path, headers, body, status, answer} on standard input, one for each request that a test's GitHub
// saw and what it answered; one line of JSON {operation, wrong: [...]} for each, by GitHub's published OpenAPI description. `body` and
// `answer` are texts; header names are in lower case.
import { readFileSync } from "node:fs";
import Ajv from "ajv";
import addFormats from "ajv-formats";

const described = JSON.parse(readFileSync(new URL("node_modules/@octokit/openapi/generated/api.github.com.json", import.meta.url)));
const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false, coerceTypes: false, logger: false });
addFormats(ajv);
ajv.addFormat("int64", true);
ajv.addSchema(described, "github");

function resolve(o) {
  while (o && o.$ref) o = o.$ref.slice(2).split("/").reduce((at, key) => at[key.replaceAll("~1", "/").replaceAll("~0", "~")], described);
  return o;
}

const checks = new Map();
function check(where, value) {
  const ref = "github#/" + where.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
  if (!checks.has(ref)) checks.set(ref, ajv.compile({ $ref: ref }));
  const fits = checks.get(ref);
  return fits(value) ? [] : fits.errors.map((e) => `${e.instancePath || "/"} ${e.message}`);
}

// A literal segment is better than a parameter.
function find(path) {
  const parts = path.split("/");
  let best;
  for (const template of Object.keys(described.paths)) {
    const wanted = template.split("/");
    if (wanted.length !== parts.length) continue;
    const parameters = {};
    const fits = wanted.every((part, i) => {
      if (!part.startsWith("{")) return part === parts[i];
      parameters[part.slice(1, -1)] = decodeURIComponent(parts[i]);
      return parts[i] !== "";
    });
    const literal = wanted.filter((part) => !part.startsWith("{")).length;
    if (fits && (!best || literal > best.literal)) best = { template, parameters, literal };
  }
  return best;
}

function typed(schema, text) {
  const { type } = resolve(schema);
  if (type === "integer" || type === "number") return /^-?\d+$/.test(text) ? Number(text) : text;
  if (type === "boolean") return { true: true, false: false }[text] ?? text;
  return text;
}

function parameters(item, operation, found, query) {
  const wrong = [];
  const all = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolve);
  const values = { path: found.parameters, query: Object.fromEntries(query) };
  for (const p of all.filter((p) => p.in in values)) {
    const given = values[p.in][p.name];
    if (given === undefined && p.required) wrong.push(`${p.in} ${p.name} is missing`);
    if (given === undefined) continue;
    const fits = ajv.compile(p.schema);
    if (!fits(typed(p.schema, given))) wrong.push(`${p.in} ${p.name}: ${fits.errors[0].message}`);
  }
  for (const name of query.keys()) if (!all.some((p) => p.in === "query" && p.name === name)) wrong.push(`query ${name} is not described`);
  return wrong;
}

function headers(request) {
  const wrong = [];
  const h = request.headers;
  if (!h["user-agent"]) wrong.push("header user-agent is missing");
  if (!/^application\/(vnd\.github\+)?json$/.test(h.accept ?? "")) wrong.push("header accept is not GitHub's media type");
  if (!/^\d{4}-\d\d-\d\d$/.test(h["x-github-api-version"] ?? "")) wrong.push("header x-github-api-version is missing");
  if (request.path.startsWith("/repos/") && !/^Bearer \S+$/.test(h.authorization ?? "")) wrong.push("header authorization holds no token");
  if (request.body && h["content-type"] !== "application/json") wrong.push("header content-type is not application/json");
  return wrong;
}

function body(operation, where, text) {
  const described = resolve(operation.requestBody);
  if (!described) return text ? ["a body is not described"] : [];
  if (!text) return described.required ? ["the body is missing"] : [];
  let value;
  try {
    value = JSON.parse(text);
  } catch (e) {
    return ["the body is no JSON: " + e.message];
  }
  const wrong = check([...where, "requestBody", "content", "application/json", "schema"], value).map((w) => "body " + w);
  // the description leaves unknown members open; a misspelt one is none
  const known = resolve(described.content["application/json"].schema).properties ?? {};
  for (const name of Object.keys(value)) if (!(name in known)) wrong.push(`body /${name} is not described`);
  return wrong;
}

function answer(operation, where, request) {
  const given = resolve(operation.responses[String(request.status)]);
  // limits and failures of the server are described nowhere
  if (!given) return [301, 401, 403, 404, 429, 500, 502, 503].includes(request.status) ? [] : [`answer ${request.status} is not described`];
  if (!given.content?.["application/json"]?.schema || !request.answer) return [];
  const at = operation.responses[String(request.status)].$ref
    ? operation.responses[String(request.status)].$ref.slice(2).split("/")
    : [...where, "responses", String(request.status)];
  let value;
  try {
    value = JSON.parse(request.answer);
  } catch (e) {
    return ["the answer is no JSON: " + e.message];
  }
  return check([...at, "content", "application/json", "schema"], value).map((w) => "answer " + w);
}

function verdict(request) {
  const url = new URL(request.path, "https://api.github.com");
  const found = find(url.pathname);
  const method = request.method.toLowerCase();
  const item = found && described.paths[found.template];
  if (!item?.[method]) return { operation: null, wrong: [`${request.method} ${url.pathname} is not described`] };
  const where = ["paths", found.template, method];
  return {
    operation: `${request.method} ${found.template}`,
    wrong: [
      ...parameters(item, item[method], found, url.searchParams),
      ...headers(request),
      ...body(item[method], where, request.body),
      ...answer(item[method], where, request),
    ],
  };
}

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) console.log(JSON.stringify(verdict(JSON.parse(line))));
