#!/usr/bin/env node
// The door to the command line, in JavaScript that any Node can parse: it makes sure that the program behind it runs
// on a Node that can run it, with the settings a node's process needs (`src/cli/launch/ProcessSettings.ts` says why).
//
// They are read long before the program is loaded, so they have to be in the environment of the process. Where they are
// not, the process becomes another program with them, in place: a signal to its id, kill -9 too, is one to the node.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import * as nodeModule from "node:module"
import { Socket } from "node:net"
import { fileURLToPath, pathToFileURL } from "node:url"
import { argumentProblem, errorLine, variableProblem } from "./arguments.js"

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

const supported = (version) => {
  const [major, minor] = version.split(".").map(Number)
  return major > 22 || (major === 22 && minor >= 19)
}

/** The pinned Node of this package or of the package that installed it; npm has linked the one for this machine. */
const pinnedNode = () => ["../node_modules/.bin/node", "../../.bin/node"].map(at).find(existsSync)

const nodeSettings = {
  UV_THREADPOOL_SIZE: "8",
  MALLOC_ARENA_MAX: "2",
  NODE_OPTIONS: "--max-semi-space-size=8 --max-old-space-size=1536"
}

/** The descriptor of a child that closes when its parent is gone, however that ended. */
const parentPipe = 3
const parentPipeVariable = "FLAREDB_PARENT_PIPE"

const restart = (node) => {
  const args = [...(node === process.execPath ? process.execArgv : []), at("./flaredb.js"), ...process.argv.slice(2)]
  const env = { ...nodeSettings, ...process.env, FLAREDB_RESTARTED: "1" }
  if (typeof process.execve === "function") process.execve(node, [node, ...args], env)
  // Before Node 22.15 a process cannot become another program.
  const child = spawn(node, args, {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...env, [parentPipeVariable]: "true" }
  })
  for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"]) process.on(signal, () => child.kill(signal))
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code === null ? 1 : code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

if (process.env[parentPipeVariable] !== undefined) {
  // Its own children have other parents.
  delete process.env[parentPipeVariable]
  try {
    const pipe = new Socket({ fd: parentPipe })
    pipe.on("error", () => undefined)
    pipe.once("close", () => process.kill(process.pid, "SIGTERM"))
    pipe.resume()
    pipe.unref()
  } catch {
    // Somebody else has set the variable, and there is no pipe.
  }
}

// Only nodes need the settings; the other verbs start faster without them.
const needsSettings = process.argv[2] === "start" &&
  Object.keys(nodeSettings).some((name) => process.env[name] === undefined)

const args = process.argv.slice(2)
const problem = argumentProblem(args) || variableProblem()

if (problem !== undefined) {
  process.stderr.write(`${errorLine(problem, args)}\n`)
  process.exitCode = 2
} else if (!supported(process.versions.node)) {
  const node = process.env.FLAREDB_RESTARTED === undefined ? pinnedNode() : undefined
  if (node === undefined) {
    process.stderr.write(
      `flaredb needs Node.js 22.19 or later, this is ${process.versions.node}; install it (in a clone npm ci does)\n`
    )
    process.exitCode = 1
  } else {
    restart(node)
  }
} else if (needsSettings && process.env.FLAREDB_RESTARTED === undefined) {
  restart(process.execPath)
} else {
  if (typeof nodeModule.enableCompileCache === "function") nodeModule.enableCompileCache()
  const built = at("../dist/cli/flaredb.js")
  await import(pathToFileURL(existsSync(built) ? built : at("../src/cli/flaredb.ts")).href)
}
