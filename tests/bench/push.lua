-- push.lua: what wrk sends to be measured beside receivers of hooks. REQUESTS names a file as generator.c reads it: u32 length, u32 offset
-- of the id, bytes. Each request goes out with an id of its own, 36 characters: the run's random part, the thread, a count. Prints one
-- JSON object at the end: what wrk counted.
local file = assert(io.open(os.getenv("REQUESTS"), "rb"))
local all = file:read("*a")
file:close()

local function u32(at)
	local a, b, c, d = all:byte(at, at + 3)
	return a + b * 256 + c * 65536 + d * 16777216
end

local before, behind, at = {}, {}, 1
while at <= #all do
	local length, id = u32(at), u32(at + 4)
	before[#before + 1] = all:sub(at + 8, at + 7 + id)
	behind[#behind + 1] = all:sub(at + 8 + id + 36, at + 7 + length)
	at = at + 8 + length
end

local threads = 0
function setup(thread)
	threads = threads + 1
	thread:set("number", threads)
end

local run, sent, kinds = nil, 0, #before
function init()
	local random = assert(io.open("/dev/urandom", "rb"))
	local a, b, c, d, e, f = random:read(6):byte(1, 6)
	run = string.format("%02x%02x%02x%02x%02x%02x-%02x", a, b, c, d, e, f, number)
	random:close()
end

function request()
	sent = sent + 1
	local kind = sent % kinds + 1
	return before[kind] .. string.format("%s-%020x", run, sent) .. behind[kind]
end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format('{"ok": %d, "seconds": %.6f, "failed": %d, "p50_us": %.0f, "p99_us": %.0f}\n', summary.requests - e.status,
		summary.duration / 1e6, e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(50), latency:percentile(99)))
end
