-- The submit filter. The tables above it come from the site's profile:
-- refuses[condition] = the site's words; known, without_gpus = sets of features; most = what an isolated
-- cluster takes in its life, nil elsewhere.



local function words(text)
   local found = {}
   for word in string.gmatch(text or "", "[%a][%w_%-]*") do
      table.insert(found, word)
   end
   return found
end

local function asks_for_gpus(job)
   for _, field in ipairs({ "tres_per_job", "tres_per_node", "tres_per_socket", "tres_per_task", "gres" }) do
      if string.find(job[field] or "", "gpu") then
         return true
      end
   end
   return false
end

local tests = {
   ["no-constraint"] = function(job)
      return #words(job.features) == 0
   end,
   ["unknown-constraint"] = function(job)
      for _, word in ipairs(words(job.features)) do
         if not known[word] then
            return true
         end
      end
      return false
   end,
   ["gpu-without-gpu-node"] = function(job)
      for _, word in ipairs(words(job.features)) do
         if without_gpus[word] and asks_for_gpus(job) then
            return true
         end
      end
      return false
   end,
   ["no-time-limit"] = function(job)
      return job.time_limit == slurm.NO_VAL
   end,
   ["no-account"] = function(job)
      return job.account == nil
   end,
}

-- Slurm loads this file once, so these count from the controller's start.
local jobs, bytes = 0, 0

local function fills_the_books(job)
   jobs, bytes = jobs + 1, bytes + #(job.script or "")
   return most and (jobs > most.jobs or bytes > most.bytes)
end

local order = { "no-constraint", "unknown-constraint", "gpu-without-gpu-node", "no-time-limit", "no-account" }

function slurm_job_submit(job, _partitions, _uid)
   for _, condition in ipairs(order) do
      if refuses[condition] and tests[condition](job) then
         slurm.log_user("%s", refuses[condition])
         return slurm.ERROR -- srun adds "Unspecified error", as it does at sites
      end
   end
   if fills_the_books(job) then
      slurm.log_user("This cluster keeps the record of all jobs for the grader, and has no room for more.")
      return slurm.ERROR
   end
   return slurm.SUCCESS
end

function slurm_job_modify(_job, _record, _partitions, _uid)
   return slurm.SUCCESS
end

return slurm.SUCCESS
