-- What scripts see instead of Lua's own globals: no files, no clock, no chance, nothing that outlives the script.
-- Called with what the model brings; returns the environment, its table of globals, and the runner.
local redis, translate, is_final, locate, readonly, nonexistent = ...

local function fixed(inner)
    return setmetatable({}, { __index = inner, __newindex = readonly, __metatable = false })
end

local globals = {}
for _, name in ipairs({
    'assert', 'error', 'getmetatable', 'ipairs', 'next', 'pairs', 'rawequal', 'rawget', 'select', 'tonumber', 'type', 'unpack', '_VERSION',
}) do
    globals[name] = _G[name]
end

local base_pcall, base_xpcall, base_rawset, base_tostring = pcall, xpcall, rawset, tostring
local base_error, base_type, base_getmetatable, base_setmetatable = error, type, getmetatable, setmetatable

-- An error that came from Redis is seen as its text. What ends the script cannot be caught.
local function caught(ok, problem, ...)
    if ok then return true, problem, ... end
    if is_final(problem) then base_error(problem, 0) end
    return false, translate(problem)
end
globals.pcall = function(f, ...) return caught(base_pcall(f, ...)) end
globals.xpcall = function(f, handler)
    local function handle(problem)
        if is_final(problem) then return problem end
        return handler(translate(problem))
    end
    local function ended(ok, problem, ...)
        if not ok and is_final(problem) then base_error(problem, 0) end
        return ok, problem, ...
    end
    return ended(base_xpcall(f, handle))
end

-- Without addresses, which no two runs share.
globals.tostring = function(value)
    local kind = base_type(value)
    if kind == 'table' then
        local meta = base_getmetatable(value)
        if base_type(meta) == 'table' and meta.__tostring then return meta.__tostring(value) end
    end
    if kind == 'table' or kind == 'function' or kind == 'userdata' then return kind .. ': 0x0' end
    return base_tostring(value)
end

local math_functions = {}
for name, value in pairs(math) do
    if name ~= 'random' and name ~= 'randomseed' then math_functions[name] = value end
end
local string_functions = {}
for name, value in pairs(string) do
    if name ~= 'dump' then string_functions[name] = value end
end
getmetatable('').__index = string_functions
getmetatable('').__metatable = false

globals.math = fixed(math_functions)
globals.string = fixed(string_functions)
globals.table = fixed(table)
globals.redis = fixed(redis)

setmetatable(globals, { __index = nonexistent })
local environment = fixed(globals)
globals._G = environment

local fixed_tables = {
    [environment] = true, [globals.math] = true, [globals.string] = true, [globals.table] = true,
    [globals.redis] = true,
}
local function refuse_fixed(target)
    if fixed_tables[target] then base_error('Attempt to modify a readonly table', 0) end
end
globals.rawset = function(target, key, value)
    refuse_fixed(target)
    return base_rawset(target, key, value)
end
globals.setmetatable = function(target, meta)
    refuse_fixed(target)
    return base_setmetatable(target, meta)
end

return environment, globals, function(f) return base_xpcall(f, locate) end
