/**
 * `npm run test:runtimes`: the packed client on Node, Bun and Deno against a real node, and a node on each Node. Linux only. The
 * runtimes come from npm, so `npm test` leaves it out; docs/package.md has what it found.
 */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findPorts } from "../../../src/cli/launch/FreePorts.ts"
import { cleanEnvironment, Consumer, pack } from "../Consumer.ts"
import type { Runtime } from "./Runtimes.ts"
import { runtimes } from "./Runtimes.ts"

/** Puts, gets, watches, locks and counts; prints how many of them held. */
const program = `
import { Deferred, Effect, Fiber, Option, Stream } from "effect"
import { KeyValue, layer, Leases, Locks, parseEndpoints, Watch } from "flaredb/client"

const fail = (what) => { throw new Error(what) }
const program = Effect.gen(function*() {
  const [kv, leases, locks, watch] = [yield* KeyValue, yield* Leases, yield* Locks, yield* Watch]
  const key = "runtimes/" + process.argv[3]
  const seen = yield* Effect.forkChild(Stream.runCollect(Stream.take(watch.changes({ key, fromRevision: 1 }), 2)))
  const { revision } = yield* kv.put(key, "one")
  const found = yield* kv.get(key)
  if (Option.getOrThrow(found).text !== "one") fail("get")
  if (Option.getOrThrow(found).modRevision !== revision) fail("revision")
  yield* kv.put(key, new Uint8Array([0, 255]))
  const changes = yield* Fiber.join(seen)
  if (changes.length !== 2 || changes[0].revision !== revision) fail("watch")
  const holder = yield* locks.withLock(key, (lock) => Effect.map(locks.holder(key), (who) => [lock.revision, who]))
  if (Option.getOrThrow(holder[1]).revision !== holder[0]) fail("lock")
  const lease = yield* leases.scoped(10_000)
  yield* kv.put(key + "/lease", "here", { lease: lease.id })
  yield* Effect.forEach(Array.from({ length: 50 }), () =>
    kv.modify(key + "/count", (now) => String(Number(Option.getOrUndefined(now)?.text ?? 0) + 1)),
    { concurrency: "unbounded" })
  if (Option.getOrThrow(yield* kv.get(key + "/count")).text !== "50") fail("modify")
  if ((yield* kv.count(key)) !== 3) fail("count")
})
const endpoints = await Effect.runPromise(parseEndpoints(process.argv[2]))
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer({ endpoints }))))
console.log("all held")
`

interface Server {
  readonly endpoint: string
  readonly stop: () => Promise<void>
}

/** A node on its own, of the package as it was installed. */
const serve = async (node: string, installed: Consumer): Promise<Server> => {
  const [client = 0, peer = 0, http = 0] = await findPorts(3)
  const data = mkdtempSync(join(tmpdir(), "flaredb-runtimes-"))
  const flags = ["--node-id", "1", "--nodes", `1=127.0.0.1:${client}:${peer}:${http}`, "--data-dir", join(data, "node")]
  const launcher = join(installed.folder, "node_modules/flaredb/bin/flaredb.js")
  const child: ChildProcess = spawn(node, [launcher, "start", ...flags], {
    env: cleanEnvironment(),
    stdio: ["ignore", "pipe", "pipe"]
  })
  let said = ""
  const ended = new Promise<void>((done) => child.once("exit", () => done()))
  await new Promise<void>((ready, fail) => {
    const hear = (text: Buffer) => {
      said += text.toString()
      if (/^READY /m.test(said)) ready()
    }
    child.stdout?.on("data", hear)
    child.stderr?.on("data", hear)
    child.once("exit", (code) => fail(new Error(`the node ended with ${code}: ${said.slice(-500)}`)))
  })
  return {
    endpoint: `127.0.0.1:${client}`,
    stop: async () => {
      child.kill("SIGTERM")
      await ended
      rmSync(data, { recursive: true, force: true })
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), "flaredb-packed-"))
const installed = new Consumer("runtimes")
let failures = 0

const tryOn = async (runtime: Runtime, endpoint: string): Promise<string> => {
  const name = runtime.package.slice(0, runtime.package.lastIndexOf("@"))
  const path = join(installed.folder, "node_modules", name, runtime.program)
  const own = runtime.runsNodes ? await serve(path, installed) : undefined
  try {
    const id = runtime.name.replace(/\W+/g, "-")
    const { code, err, out } = installed.run(path, ...runtime.flags, "client.js", own?.endpoint ?? endpoint, id)
    if (code !== 0 || !out.includes("all held")) throw new Error(`ended with ${code}: ${out}${err}`)
    return runtime.runsNodes ? "client and node" : "client"
  } finally {
    await own?.stop()
  }
}

try {
  const { file } = pack(folder)
  installed.write("client.js", program)
  installed.install(file, "effect@^4.1.0", "rocksdb-native@3.18.1")
  const server = await serve(process.execPath, installed)
  try {
    for (const runtime of runtimes) {
      try {
        // Versions of one package take each other's place, so each is there while it is used.
        installed.install("--no-save", "--force", runtime.package)
        process.stdout.write(`ok: ${runtime.name}: ${await tryOn(runtime, server.endpoint)}\n`)
      } catch (error) {
        failures += 1
        process.stdout.write(`FAILED: ${runtime.name}: ${error instanceof Error ? error.message : String(error)}\n`)
      }
    }
  } finally {
    await server.stop()
  }
} finally {
  installed.remove()
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = failures === 0 ? 0 : 1
