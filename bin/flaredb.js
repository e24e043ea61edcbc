#!/usr/bin/env node
// The door to the command line, in JavaScript that any Node can parse: it makes sure that the program behind it runs
// on a Node that can run it, with the settings a node's process needs (`src/bin/ProcessSettings.ts` says why).
//
// They are read long before the program is loaded, so they have to be in the environment of the process; where they are
// not, the process starts itself anew once.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import * as nodeModule from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"

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

const restart = (node) => {
  const child = spawn(node, [at("./flaredb.js"), ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...nodeSettings, ...process.env, FLAREDB_RESTARTED: "1" }
  })
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code === null ? 1 : code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

// Only nodes need the settings; the other verbs start faster without a second process.
const needsSettings = process.argv[2] === "start" &&
  Object.keys(nodeSettings).some((name) => process.env[name] === undefined)

if (!supported(process.versions.node)) {
  const node = process.env.FLAREDB_RESTARTED === undefined ? pinnedNode() : undefined
  if (node === undefined) {
    process.stderr.write(
      `flaredb needs Node.js 22.19 or later, this is ${process.versions.node}; run npm ci, or install it\n`
    )
    process.exitCode = 1
  } else {
    restart(node)
  }
} else if (needsSettings && process.env.FLAREDB_RESTARTED === undefined) {
  restart(process.execPath)
} else {
  if (typeof nodeModule.enableCompileCache === "function") nodeModule.enableCompileCache()
  const built = at("../dist/bin/flaredb.js")
  await import(pathToFileURL(existsSync(built) ? built : at("../src/bin/flaredb.ts")).href)
}
