/** What a node asks of the kernel, under strace, is what the unit in `deploy/systemd` lets it: no systemd runs in a test. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import * as Cluster from "../../cluster/Cluster.ts"
import { slowDiskMissing } from "../../cluster/SlowDisk.ts"

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0
const skipped = hasSystemd ? slowDiskMissing() : "there is no systemd-analyze"
if (skipped !== undefined) console.warn(`system-calls.test.ts is skipped: ${skipped}`)

/** The calls of a set such as `@system-service`, those of the sets in it included. */
const callsOf = (set: string): ReadonlyArray<string> =>
  spawnSync("systemd-analyze", ["syscall-filter", set], { encoding: "utf8" }).stdout.split("\n").slice(1)
    .map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"))
    .flatMap((line) => line.startsWith("@") ? callsOf(line) : [line])

/** What the lines `SystemCallFilter=` of the unit allow. */
const allowed = (): ReadonlySet<string> => {
  const calls = new Set(callsOf("@default"))
  const unit = readFileSync("deploy/systemd/flaredb@.service", "utf8")
  for (const [, not, sets = ""] of unit.matchAll(/^SystemCallFilter=(~?)(.*)$/gm)) {
    for (const call of sets.split(" ").flatMap(callsOf)) not === "~" ? calls.delete(call) : calls.add(call)
  }
  return calls
}

it.live.skipIf(skipped !== undefined)(
  "a node makes no system call that its unit forbids",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-calls-" })
      const trace = `${folder}/trace`
      const cluster = yield* Cluster.make(1, undefined, {}, { under: () => ["strace", "-Dfqq", "-o", trace] })
      const [node] = cluster.nodes
      if (node === undefined) return assert.fail("a cluster of one has a node")
      yield* node.start
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        yield* kv.put("a", "1")
        yield* kv.get("a")
      }).pipe(Effect.provide(Cluster.client(cluster)))
      yield* node.stop("SIGTERM")
      const made = new Set(
        [...readFileSync(trace, "utf8").matchAll(/^\d+ +([a-z]\w*)\(/gm)].map(([, call = ""]) => call)
      )
      assert.includeMembers([...made], ["execve", "fdatasync"])
      const within = allowed()
      assert.isFalse(within.has("mount"))
      assert.deepStrictEqual([...made].filter((call) => !within.has(call)), [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
)
