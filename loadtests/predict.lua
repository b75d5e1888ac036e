-- wrk's script: posts request.json, checks each answer's status and body, and prints what it saw as one line of JSON
-- (the same that programs/calls prints). Its argument is the folder of payloads.

local answers = {}

-- Globals, because done() runs in another Lua state and can only ask a thread for them.
v1, v2, unnamed, wrong = 0, 0, 0, 0
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

local function read(path)
   local file = assert(io.open(path, "rb"))
   local content = file:read("*a")
   file:close()
   return content
end

function init(args)
   local folder = args[1]
   wrk.method = "POST"
   wrk.headers["content-type"] = "application/json"
   wrk.body = read(folder .. "/request.json")
   answers.v1 = read(folder .. "/v1.json")
   answers.v2 = read(folder .. "/v2.json")
   local request_bytes = wrk.format()
   request = function() return request_bytes end
end

function response(status, headers, body)
   local version = headers["x-turnout-version"]
   if version == "v1" then
      v1 = v1 + 1
   elseif version == "v2" then
      v2 = v2 + 1
   else
      unnamed = unnamed + 1
      version = "v1" -- asked directly
   end
   if status ~= 200 or body ~= answers[version] then
      wrong = wrong + 1
   end
end

function done(summary, latency)
   local versions, all_wrong = { v1 = 0, v2 = 0, unnamed = 0 }, 0
   for _, thread in ipairs(threads) do
      for name, count in pairs(versions) do
         versions[name] = count + thread:get(name)
      end
      all_wrong = all_wrong + thread:get("wrong")
   end
   local errors = {}
   for kind, count in pairs(summary.errors) do
      table.insert(errors, string.format('"%s": %d', kind, count))
   end
   print(string.format(
      '{"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, '
         .. '"versions": {"v1": %d, "v2": %d, "": %d}, "wrong": %d, "errors": {%s}}',
      summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
      versions.v1, versions.v2, versions.unnamed, all_wrong, table.concat(errors, ", ")))
end
